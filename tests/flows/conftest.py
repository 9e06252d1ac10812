"""The command line over a home of its own."""

import os
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from flows.__main__ import app


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def lucidflux(home, capfd):
    """The command line over a home; gives exit code and both outputs."""

    def run(*words, at=home):
        stdout = os.dup(1)
        done = CliRunner().invoke(app, ["--home", str(at), *map(str, words)])
        os.dup2(stdout, 1)  # --json gives it away for the life of a process
        os.close(stdout)
        return SimpleNamespace(exit_code=done.exit_code, stdout=capfd.readouterr().out, stderr=done.stderr)

    return run
