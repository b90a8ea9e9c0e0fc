"""PostgreSQL servers and PgBouncer, which the acceptance scripts start in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from processes import free_port, is_listening, wait_until

# PostgreSQL and PgBouncer refuse to run as root.
_AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
_AS_USER = _AS_POSTGRES if os.geteuid() == 0 else []


class Postgres:
    """A PostgreSQL cluster in a new folder; or a standby of another cluster."""

    def __init__(self, data: Path, *, primary: Postgres | None = None) -> None:
        self._data = data
        self._data.mkdir(mode=0o700)
        if _AS_USER:
            shutil.chown(self._data, "postgres")
        self.port = free_port()
        if primary is None:
            self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", data)
        else:
            source = f"host=127.0.0.1 port={primary.port} user=postgres"
            self._run(
                *("pg_basebackup", "--no-sync", "--write-recovery-conf", "--checkpoint=fast"),
                *(f"--dbname={source}", f"--pgdata={data}"),
            )

    def url(self, driver: str = "psycopg", user: str = "postgres") -> str:
        """Return the URL for SQLAlchemy."""
        return f"postgresql+{driver}://{user}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run(
            "pg_ctl", "--wait", "-D", self._data, "-l", self._data / "log", "-o", options, "start"
        )

    def stop(self, mode: str) -> None:
        self._run("pg_ctl", "--wait", "-D", self._data, "-m", mode, "stop")

    def promote(self) -> None:
        """Make a standby accept writes."""
        self._run("pg_ctl", "--wait", "-D", self._data, "promote")

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True)

    def _run(self, program: str, *arguments: object) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        search = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        path = shutil.which(program, path=search)
        if path is None:
            sys.exit(f"The PostgreSQL program {program} is not installed.")
        command = [*_AS_USER, path, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def temporary_postgres() -> Iterator[tuple[Path, Postgres]]:
    """Run a PostgreSQL server in a new folder, which other programs may use, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres(folder / "data")
        server.start()
        try:
            yield folder, server
        finally:
            server.stop("immediate")


class PgBouncer:
    """PgBouncer in transaction mode, which uses its server connections in turn."""

    def __init__(self, folder: Path, server: Postgres, users: tuple[str, ...]) -> None:
        self.port = free_port()
        config = folder / "pgbouncer.ini"
        (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users))
        config.write_text(
            f"""[databases]
postgres = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
server_round_robin = 1
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
logfile = {folder}/pgbouncer.log
"""
        )
        log = folder / "pgbouncer.log"
        log.touch(mode=0o666)
        log.chmod(0o666)
        self._process = subprocess.Popen([*_AS_USER, "pgbouncer", "--quiet", str(config)])
        wait_until(lambda: is_listening(self.port))

    def url(self, driver: str, user: str = "postgres") -> str:
        """Return the URL for SQLAlchemy."""
        return f"postgresql+{driver}://{user}@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
