"""Create the tables for compare.py, which runs this in an environment that has psycopg."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator

import psycopg
from psycopg import sql

COLUMNS = """
    id INTEGER PRIMARY KEY, username VARCHAR(150) NOT NULL, email VARCHAR(200) NOT NULL,
    first_name VARCHAR(200) NOT NULL, last_name VARCHAR(200) NOT NULL, number_phone VARCHAR(10),
    avatar VARCHAR(500), date_joined {time} NOT NULL, last_login {time},
    is_active BOOLEAN NOT NULL, is_staff BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL,
    password VARCHAR(255) NOT NULL
"""
INDEXES = (
    'CREATE UNIQUE INDEX user_username ON "user" (username)',
    'CREATE UNIQUE INDEX user_email ON "user" (email)',
)
RELATED_ROWS = 100


def make_row(user_id: int) -> tuple[object, ...]:
    name = f"user_{user_id:08d}"
    phone, avatar = f"{user_id % 10**10:010d}", f"/media/avatars/{name}.png"
    date_joined, last_login = "2024-01-15 10:30:00.000000", "2024-03-10 14:20:00.000000"
    password = f"pbkdf2_sha256$1000000$salt$a_hash_of_{user_id:034d}="
    person = (user_id, name, f"{name}@example.com", "Alice", "Wonder", phone, avatar)
    return *person, date_joined, last_login, 1, 0, 0, password


def fill_sqlite(path: str, rows: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f'CREATE TABLE "user" ({COLUMNS.format(time="DATETIME")})')
        placeholders = ", ".join("?" * 13)
        users = (make_row(n) for n in range(1, rows + 1))
        connection.executemany(f'INSERT INTO "user" VALUES ({placeholders})', users)
        for index in INDEXES:
            connection.execute(index)
    connection.close()


def fill_postgresql(url: str, options: argparse.Namespace) -> None:
    """Fill a table with one COPY, and then create its indexes."""
    extra = [f"column_{n} VARCHAR(50)" for n in range(options.columns)]
    extra += [f"related_{n}_id INTEGER" for n in range(options.relationships)]
    columns = ", ".join([COLUMNS.format(time="TIMESTAMPTZ"), *extra])
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        schema = sql.Identifier(options.schema)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        connection.execute(sql.SQL("SET search_path TO {}").format(schema))
        for n in range(options.relationships):
            connection.execute(f"CREATE TABLE related_{n} (id INTEGER PRIMARY KEY, name TEXT)")
            connection.execute(
                f"INSERT INTO related_{n} SELECT i, 'name ' || i FROM generate_series(1, %s) i",
                [RELATED_ROWS],
            )
        # Reads cost the same in an unlogged table, and filling it writes no log on a shared server.
        connection.execute(f'CREATE UNLOGGED TABLE "user" ({columns})')
        with connection.cursor().copy('COPY "user" FROM STDIN') as copy:
            for lines in copy_lines(options):
                copy.write(lines)
        for statement in (*INDEXES, 'VACUUM ANALYZE "user"'):
            connection.execute(statement)


def copy_lines(options: argparse.Namespace) -> Iterator[str]:
    texts = [f"text of column {n}" for n in range(options.columns)]
    for start in range(1, options.rows + 1, 1000):
        lines = []
        for user_id in range(start, min(start + 1000, options.rows + 1)):
            keys = [user_id % RELATED_ROWS + 1] * options.relationships
            lines.append("\t".join(map(str, (*make_row(user_id), *texts, *keys))))
        yield "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["create", "drop", "fill"])
    parser.add_argument("database", help="a SQLite file, or the URL of a PostgreSQL database")
    parser.add_argument("--schema", default="public")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--relationships", type=int, default=0)
    options = parser.parse_args()
    if not options.database.startswith("postgresql"):
        fill_sqlite(options.database, options.rows)
    elif options.action == "fill":
        fill_postgresql(options.database, options)
    else:
        server, _, name = options.database.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            if options.action == "create":
                connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
                print((connection.info.parameter_status("server_version") or "").split()[0])


if __name__ == "__main__":
    main()
