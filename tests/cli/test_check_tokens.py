"""``flask profile check``: keys, and the cookies of tokens."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cli.running import find_problem_codes, run_command
from conftest import SECRET
from pem_keys import make_key_config


def test_check_reports_each_problem_and_how_to_fix_it(host):
    host_app = host(JWT_SECRET_KEY="short")
    result = run_command(host_app, "check")
    assert result.exit_code == 1
    assert "weak_secret" in result.stdout
    assert "has 40 bits, but HS256 requires 256" in result.stdout
    assert "missing_table (profile)" in result.stdout
    assert "    db.create_all()" in result.stdout


def test_check_reports_a_missing_jwt_manager(host):
    host_app = host(with_jwt=False).add()
    assert find_problem_codes(host_app) == ["no_jwt_manager"]
    assert "    JWTManager(app)" in run_command(host_app, "check").stdout


def test_check_reports_a_missing_secret(host):
    host_app = host(JWT_SECRET_KEY=None).add()
    assert find_problem_codes(host_app) == ["no_secret"]
    assert "secrets.token_hex" in run_command(host_app, "check").stdout


@pytest.mark.parametrize(("algorithm", "minimum"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_check_reports_a_secret_that_is_too_short_for_its_algorithm(algorithm, minimum, host):
    codes = [
        find_problem_codes(host(JWT_SECRET_KEY="x" * length, JWT_ALGORITHM=algorithm).add())
        for length in (minimum - 1, minimum)
    ]
    assert codes == [["weak_secret"], []]


def test_check_considers_every_allowed_algorithm(host):
    host_app = host(JWT_SECRET_KEY="x" * 32, JWT_DECODE_ALGORITHMS=["HS256", "HS512"]).add()
    assert find_problem_codes(host_app) == ["weak_secret"]


def test_check_reports_weak_keys_of_other_algorithms(host):
    small = rsa.generate_private_key(65537, 1024)
    large = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    codes = [
        find_problem_codes(host(JWT_ALGORITHM=name, **make_key_config(key)).add())
        for name, key in (
            *(("RS256", small), ("RS256", large), ("ES256", curve)),
            ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        )
    ]
    assert codes == [["weak_secret"], [], [], []]


def test_check_reports_a_key_that_cannot_be_read(host):
    host_app = host(JWT_ALGORITHM="RS256", JWT_PRIVATE_KEY="x", JWT_PUBLIC_KEY="x").add()
    assert find_problem_codes(host_app) == ["wrong_key"]


def test_check_ignores_a_key_from_the_decode_key_loader(host):
    host_app = host(JWT_SECRET_KEY=None).add()
    host_app.jwt.decode_key_loader(lambda _header, _claims: SECRET)
    assert find_problem_codes(host_app) == []


def test_check_reports_cookies_without_csrf_protection(host):
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_SECURE": True}
    assert find_problem_codes(host(**cookies).add()) == []
    assert find_problem_codes(host(**cookies, JWT_COOKIE_CSRF_PROTECT=False).add()) == ["no_csrf"]


def test_check_reports_methods_without_csrf_protection(host):
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_SECURE": True}
    methods = {"PROFILE_METHODS": ["GET", "POST", "PATCH"], "JWT_CSRF_METHODS": ["POST"]}
    host_app = host(**cookies, **methods).add()
    assert find_problem_codes(host_app) == ["no_csrf"]
    assert "(CSRF): PATCH." in run_command(host_app, "check").stdout


def test_check_warns_of_cookies_that_may_be_sent_without_encryption(host):
    host_app = host(JWT_TOKEN_LOCATION=["cookies"]).add()
    (problem,) = json.loads(run_command(host_app, "check", "--json").stdout)["problems"]
    assert (problem["code"], problem["level"]) == ("insecure_cookie", "warning")
