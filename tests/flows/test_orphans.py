import subprocess
import sys
import time

import psutil
import pytest

from flows.orphans import SERVER, end_orphans

pytestmark = pytest.mark.e2e

# stands for the server: same words on the command line, same environment, does nothing
SLEEPER = "import time; time.sleep(60)"
ORPHANING = (
    "import subprocess, sys; none = subprocess.DEVNULL; "
    f"print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}, '{SERVER}'], stdout=none, stderr=none).pid, flush=True)"
)


def orphan(home):
    env = {"PREFECT_HOME": str(home), "PREFECT__SERVER_EPHEMERAL": "1"}
    done = subprocess.run([sys.executable, "-c", ORPHANING], env=env, stdout=subprocess.PIPE, text=True, check=True)
    return psutil.Process(int(done.stdout))


def test_an_orphan_of_this_home_is_ended_and_one_of_another_home_is_not(tmp_path):
    ours, other = orphan(tmp_path / "a"), orphan(tmp_path / "b")
    time.sleep(0.2)
    try:
        assert end_orphans(tmp_path / "a") == 1
        assert not ours.is_running() or ours.status() == psutil.STATUS_ZOMBIE
        assert other.is_running()
    finally:
        other.kill()


def test_a_server_whose_command_lives_is_left_alone(tmp_path):
    env = {"PREFECT_HOME": str(tmp_path), "PREFECT__SERVER_EPHEMERAL": "1"}
    child = subprocess.Popen([sys.executable, "-c", SLEEPER, SERVER], env=env)
    try:
        time.sleep(0.2)
        assert end_orphans(tmp_path) == 0
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
