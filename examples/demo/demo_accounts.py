"""Sign-in, and three routes that only a demo may have."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from threading import Timer

from demo_users import User, authenticate, create_demo_users, db
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import (
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)
from sqlalchemy import delete

# Longer than the timeout of the database in app.py: a request that needs the lock gives up before.
LOCK_SECONDS = 1.5

accounts = Blueprint("accounts", __name__)


@accounts.post("/api/sign-in/")
def sign_in() -> ResponseReturnValue:
    """Return tokens for the user with the email and password in the request."""
    match request.get_json(silent=True):
        case {"email": str(email), "password": str(password)}:
            user = authenticate(email, password)
        case _:
            return {"detail": "Send a JSON object with the strings email and password."}, 400
    if user is None:
        return {"detail": "No active user has this email and password."}, 401
    identity = str(user.id)
    user.last_login = datetime.now(timezone.utc).replace(microsecond=0)
    db.session.commit()
    # The password was just checked: for five minutes, the token may delete the account.
    access = create_access_token(identity, fresh=timedelta(minutes=5))
    return {"access": access, "refresh": create_refresh_token(identity)}


@accounts.post("/api/token/refresh/")
@jwt_required(refresh=True)  # type: ignore[untyped-decorator]
def refresh() -> ResponseReturnValue:
    """Return a new access token for a refresh token."""
    return {"access": create_access_token(get_jwt_identity())}


@accounts.get("/api/demo-tokens/")
def tokens() -> ResponseReturnValue:
    """Return tokens that the page cannot create itself. The profile view refuses all of them.

    This is for the demo only: your own app must not have such a view.
    """
    refused = {
        "expired": create_access_token("42", expires_delta=timedelta(days=-1)),
        "inactive": create_access_token("2"),
        "deleted": create_access_token("404"),
    }
    return refused, {"Cache-Control": "no-store"}


@accounts.post("/api/demo-lock/")
def lock() -> ResponseReturnValue:
    """Lock the database for a moment, as a long transaction does. This is for the demo only."""
    request.get_json()  # Other websites cannot send JSON.
    connection = db.engine.connect()
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # The write lock of SQLite.
    Timer(LOCK_SECONDS, connection.close).start()
    return "", 204


@accounts.post("/api/demo-reset/")
def reset() -> ResponseReturnValue:
    """Bring back the users of a new database. This is for the demo only."""
    request.get_json()  # Other websites cannot send JSON.
    db.session.execute(delete(User))
    db.session.add_all(create_demo_users())
    db.session.commit()
    return "", 204
