"""fastapi-users with its SQLAlchemy database and JWT strategy, like its full example."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTable, SQLAlchemyUserDatabase
from fastapi_users.jwt import generate_jwt
from sqlalchemy import DateTime, String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

METHOD, PATH = "GET", "/users/me"
SECRET = os.environ["FLASK_JWT_SECRET_KEY"]
URL = os.environ["DATABASE"].replace("+psycopg", "+asyncpg").replace("sqlite:", "sqlite+aiosqlite:")


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTable[int], Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(150), unique=True)
    first_name: Mapped[str] = mapped_column(String(200))
    last_name: Mapped[str] = mapped_column(String(200))
    number_phone: Mapped[str | None] = mapped_column(String(10))
    avatar: Mapped[str | None] = mapped_column(String(500))
    date_joined: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_login: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    is_staff: Mapped[bool]
    hashed_password: Mapped[str] = mapped_column("password", String(255))
    is_verified = True  # The table of the benchmark has no such column.


class UserRead(schemas.BaseUser[int]):
    username: str
    first_name: str
    last_name: str
    number_phone: str | None
    avatar: str | None
    date_joined: datetime
    last_login: datetime | None
    is_staff: bool


class UserUpdate(schemas.BaseUserUpdate):
    first_name: str | None = None


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):
    pass


engine = create_async_engine(URL)
session_maker = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with session_maker() as session:
        yield session


async def get_user_db(
    session: Annotated[AsyncSession, Depends(get_session)],
) -> AsyncIterator[SQLAlchemyUserDatabase[User, int]]:
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(
    user_db: Annotated[SQLAlchemyUserDatabase[User, int], Depends(get_user_db)],
) -> AsyncIterator[UserManager]:
    yield UserManager(user_db)


def get_strategy() -> JWTStrategy[User, int]:
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


backend = AuthenticationBackend("jwt", BearerTransport(tokenUrl="auth/login"), get_strategy)
users = FastAPIUsers[User, int](get_user_manager, [backend])
app = FastAPI()
app.include_router(users.get_users_router(UserRead, UserUpdate), prefix="/users")


def create_token(user_id: int, seconds: int) -> str:
    claims = {"sub": str(user_id), "aud": get_strategy().token_audience}
    return generate_jwt(claims, SECRET, seconds)
