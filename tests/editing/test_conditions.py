"""If-Match with a PATCH, and with a read."""

from __future__ import annotations

import pytest

from contract import CHANGED_BODY, READ_ONLY, URL
from editing.requests import parse, patch
from host_databases import find_written_columns, read_users
from schemas import make_interrupted_schema

CODINGS = ("gzip", "br", "deflate", "zstd")


class TestIfMatch:
    @pytest.fixture(params=[["GET", "PATCH"], ["PATCH"]], ids=["with GET", "without GET"])
    def conditional_host(self, request, editable_host):
        return editable_host(PROFILE_METHODS=request.param)

    @pytest.mark.parametrize("condition", ["{}", '"x", {}', '{}, "x"', "*", None])
    def test_a_condition_that_is_true_allows_the_change(self, condition, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        headers = {"If-Match": condition.format(etag)} if condition else {}
        response = patch(conditional_host, {"first_name": "Jack"}, headers=headers)
        assert (response.status_code, response.json["first_name"]) == (200, "Jack")
        assert response.headers["ETag"] != etag

    def test_a_condition_that_is_false_changes_nothing(self, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        before = read_users(conditional_host)
        tag = etag.strip('"')
        marked = [f'"{tag}-{c}"' for c in ("", "x", "gzipx", "deflat")] + [f'"{tag}gzip"']
        marked += [f'"{tag}/gzip"', f'"gzip-{tag}"', f'"{tag}-gzip-x"', f'W/"x{tag}"']
        for condition in (
            '""',
            '"", ""',
            'W/""',
            '"x"',
            *marked,
            '"*"',
            "x",
            "W/",
            '"',
            ",",
            "",
            ";",
            '"x',
            "\xff",
        ):
            with conditional_host.statements() as statements:
                response = patch(
                    conditional_host, {"first_name": "Jack"}, headers={"If-Match": condition}
                )
            assert (condition, *parse(response)) == (condition, 412, CHANGED_BODY)
            assert find_written_columns(statements) == []
        assert read_users(conditional_host) == before

    @pytest.mark.parametrize("mark", ["", *(f"{s}{c}" for s in "-:;" for c in CODINGS)])
    @pytest.mark.parametrize("weak", ["", "W/"])
    def test_a_tag_that_was_changed_on_its_way_still_matches(self, weak, mark, conditional_host):
        tag = patch(conditional_host, {}).headers["ETag"].strip('"')
        headers = {"If-Match": f'{weak}"{tag}{mark}"'}
        assert patch(conditional_host, {"first_name": "Jack"}, headers=headers).status_code == 200
        assert patch(conditional_host, {"first_name": "Jim"}, headers=headers).status_code == 412

    def test_an_etag_is_stale_after_another_change(self, conditional_host):
        etag = patch(conditional_host, {}).headers["ETag"]
        patch(conditional_host, {"last_name": "Roe"})
        response = patch(conditional_host, {"first_name": "Jack"}, headers={"If-Match": etag})
        assert parse(response) == (412, CHANGED_BODY)
        assert read_users(conditional_host, "first_name") == ["John"]
        assert "ETag" not in response.headers

    def test_an_empty_patch_is_conditional_too(self, conditional_host):
        assert parse(patch(conditional_host, {}, headers={"If-Match": '"x"'})) == (
            412,
            CHANGED_BODY,
        )

    def test_an_invalid_body_is_a_400_even_if_the_condition_is_false(self, conditional_host):
        response = patch(conditional_host, {"is_staff": True}, headers={"If-Match": '"x"'})
        assert parse(response) == (400, {"is_staff": READ_ONLY})

    def test_a_change_between_reading_and_writing_is_detected(self, editable_host):
        host = editable_host(PROFILE_SCHEMA=make_interrupted_schema(lambda: host, first_name="Jim"))
        etag = host.client.get(URL, headers=host.bearer()).headers["ETag"]
        response = patch(host, {"last_name": "Roe"}, headers={"If-Match": etag})
        assert parse(response) == (412, CHANGED_BODY)
        assert (read_users(host, "first_name"), read_users(host, "last_name")) == (["Jim"], ["Doe"])


def test_a_read_with_a_stale_if_match_is_a_412(editable_host):
    host = editable_host()
    for method in ("GET", "HEAD"):
        for condition, status in [("*", 200), ('"old"', 412)]:
            headers = {**host.bearer(), "If-Match": condition}
            response = host.client.open("/api/profile/", method=method, headers=headers)
            assert response.status_code == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_knows_a_tag_that_was_changed_on_its_way(method, editable_host):
    host = editable_host()
    tag = host.client.get(URL, headers=host.bearer()).headers["ETag"].strip('"')
    conditions = [f'{weak}"{tag}{mark}"' for weak in ("", "W/") for mark in ("", "-gzip", ":br")]
    for condition in [*conditions, f'"x", "{tag};zstd"', "*"]:
        headers = {**host.bearer(), "If-None-Match": condition}
        response = host.client.open(URL, method=method, headers=headers)
        assert (condition, response.status_code, response.data) == (condition, 304, b"")
        assert response.headers["ETag"] == f'"{tag}"'
    for condition in ('""', '"x"', f'"{tag}-x"', f'"{tag}gzip"', "", "x"):
        headers = {**host.bearer(), "If-None-Match": condition}
        assert host.client.open(URL, method=method, headers=headers).status_code == 200
