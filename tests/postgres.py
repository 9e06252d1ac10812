"""A real PostgreSQL server of our own, for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Postgres:
    """Where it listens."""

    port: int

    def address(self, database: str = "postgres", driver: str = "psycopg") -> str:
        """SQLAlchemy URL of a database."""
        return f"postgresql{f'+{driver}' if driver else ''}://me@127.0.0.1:{self.port}/{database}"

    def make(self, *databases: str) -> None:
        """Create databases."""
        import psycopg

        with psycopg.connect(self.address(driver=""), autocommit=True) as connection:
            for name in databases:
                connection.execute(f'create database "{name}"')


@contextmanager
def serving() -> Iterator[Postgres]:
    """Start a server with an empty cluster on a free port, and stop it by its process id."""
    program = shutil.which("postgres")
    if program is None:
        pytest.skip("needs PostgreSQL's server, the program `postgres` (Debian: postgresql)")
    binaries = Path(program).resolve().parent
    # PostgreSQL refuses to run as root, and its folder must lie where another user may go
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, "nobody")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = [f"{binaries}/initdb", "-D", f"{folder}/data", "-U", "me", "--auth=trust", "--no-sync"]
        subprocess.run(words, check=True, capture_output=True, cwd="/", **user)
        places = ["-D", f"{folder}/data", "-p", f"{port}", "-k", f"{folder}", "-c", "listen_addresses=127.0.0.1"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen([f"{binaries}/postgres", *places], cwd="/", **silent, **user)
        try:
            while subprocess.run([f"{binaries}/pg_isready", "-q", "-h", "127.0.0.1", "-p", f"{port}"], check=False).returncode:
                assert server.poll() is None
            yield Postgres(port)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
