"""``flask profile check``: tables, columns, indexes and databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cli.running import find_problem_codes, run_command
from flask_profile import (
    ProfileMixin,
)


def test_check_reports_a_migration_that_was_not_run(host):
    host_app = host()
    with host_app.app.app_context():
        host_app.db.session.execute(text("CREATE TABLE other (id INTEGER)"))
        host_app.db.session.commit()
    assert find_problem_codes(host_app) == ["missing_table"]
    with host_app.app.app_context():
        host_app.db.create_all()
        name = quote_table(host_app, host_app.User.__table__)
        host_app.db.session.execute(text(f"ALTER TABLE {name} DROP COLUMN last_login"))
        host_app.db.session.commit()
    host_app.app.extensions["migrate"] = object()
    result = run_command(host_app, "check")
    assert "missing_column" in result.stdout
    assert "lacks last_login" in result.stdout
    assert "flask db upgrade" in result.stdout
    assert find_problem_codes(host_app) == ["missing_column"]


def quote_table(host, table):
    return host.db.engine.dialect.identifier_preparer.format_table(table)


def test_check_reports_an_unreachable_database(host):
    host_app = host(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at-all.db")
    assert find_problem_codes(host_app) == ["database"]
    assert "/nowhere/at-all.db cannot be read" in run_command(host_app, "check").stdout


def model_with_identity_column(constraint=None, *column_names, **options):
    """Return a function that defines a model with a column for the identity.

    Args:
        constraint: The class of a constraint or an index on several columns.
        column_names: The arguments of the constraint.
        options: The options of the column.
    """

    def model(db):
        class User(ProfileMixin, db.Model):
            email: Mapped[str] = mapped_column(String(200))
            public: Mapped[str] = mapped_column(String(40), **options)
            __table_args__ = (constraint(*column_names),) if constraint else ()

        return User

    return model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (model_with_identity_column(), ["no_index"]),
        (model_with_identity_column(index=True), []),
        (model_with_identity_column(unique=True), []),
        (model_with_identity_column(UniqueConstraint, "public", "email"), []),
        (model_with_identity_column(UniqueConstraint, "email", "public"), ["no_index"]),
        (model_with_identity_column(Index, "ix_public", "public", "email"), []),
    ],
)
def test_check_reports_an_identity_field_without_an_index(model, expected, host):
    host_app = host(model=model, PROFILE_IDENTITY_FIELD="public")
    with host_app.app.app_context():
        host_app.db.create_all()
    assert find_problem_codes(host_app) == expected


def test_check_reports_a_bind_that_is_not_configured(host):
    def model(db):
        class User(ProfileMixin, db.Model):
            __bind_key__ = "users"

        return User

    host_app = host(model=model)
    assert find_problem_codes(host_app) == ["database"]
    assert "'users'" in run_command(host_app, "check").stdout
