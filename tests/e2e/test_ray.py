import os
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from components.backends.engine import map_shards
from components.errors import DecodeError, SettingsError, WorkerError
from components.records import content_hash
from tests.components.backends.shard_functions import die_at_two, die_the_first_time, double, fail_to_decode
from tests.e2e.conftest import MANY_SHARDS
from tests.e2e.interrupted import Run, command_line

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RAY = str(Path(sys.executable).with_name("ray"))


def ray_processes():
    names = ("raylet", "gcs_server", "ray::", "default_worker.py")
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any(name in command_line(child) for name in names)]


def test_a_ray_of_our_own_keeps_the_order_loses_one_shard_to_a_killed_worker_and_leaves_nothing(tmp_path):
    taken, ahead = [], []

    def jobs():
        for number in range(12):
            taken.append(number)
            yield number

    def watch(phase, done, total):
        ahead.append(len(taken) - done)

    results = map_shards(partial(die_the_first_time, tmp_path), jobs(), workers=2, address="ray", progress=watch)
    assert [number for number, _ in results] == list(range(12))
    assert [len((tmp_path / str(number)).read_text().split()) for number in range(12)] == [2, 1, 1] * 4
    assert max(ahead) <= 4
    assert ray_processes() == []


@pytest.fixture
def embedding():
    """A program that has started Ray itself."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
    yield ray
    ray.shutdown()


def test_inside_a_program_that_uses_ray_its_ray_is_used_and_left_running(embedding):
    assert map_shards(die_at_two, [1, 2, 3], workers=2, address="ray", on_crash=lambda job: -job) == [2, -2, 6]
    with pytest.raises(DecodeError) as caught:
        map_shards(fail_to_decode, [7], workers=1, address="ray")
    assert caught.value.reason == "truncated"
    with pytest.raises(WorkerError, match="over 2"):
        map_shards(die_at_two, [2], workers=1, address="ray")
    assert embedding.is_initialized()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one node that was started apart from the program; gives its address and the environment to join it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and not key.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    options = ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=80000000", "--disable-usage-stats"]
    start = [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", *options]
    folder = tmp_path_factory.mktemp("node")
    node = subprocess.Popen(start, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until_listening(port)
    yield f"127.0.0.1:{port}", environment
    children = psutil.Process(node.pid).children(recursive=True)
    node.terminate()
    node.wait(30)
    for child in psutil.wait_procs(children, timeout=10)[1]:
        child.kill()


def _until_listening(port):
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def join(cluster, folder, jobs):
    """Name jobs by their content on the cluster, from a process of its own as the program is."""
    address, environment = cluster
    program = (
        "import sys\nfrom components.backends.engine import map_shards\nfrom components.records import content_hash\n"
        f"print(*map_shards(content_hash, {jobs!r}, workers=1, address=sys.argv[1]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, address], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_running_cluster_is_joined_and_left_running(cluster, tmp_path):
    jobs = ["a", "b", "c", "d", "e"]
    done = join(cluster, tmp_path, jobs)
    assert (done.returncode, done.stdout.split()) == (0, [content_hash(job) for job in jobs]), done.stderr
    _until_listening(int(cluster[0].rpartition(":")[2]))


def test_a_cluster_that_asks_for_another_token_is_a_sentence(cluster, tmp_path):
    address, environment = cluster
    done = join((address, environment | {"RAY_AUTH_TOKEN": "1" * 64}), tmp_path, ["a"])
    assert "SettingsError: Expected a Ray cluster" in done.stderr


def test_an_address_without_a_cluster_says_so():
    with pytest.raises(SettingsError, match=r"backend\.engine"):
        map_shards(double, [1], workers=1, address="127.0.0.1:9")


@pytest.mark.campaign
def test_a_ray_run_that_loses_a_worker_gives_the_manifests_of_processes(collection, tmp_path):
    settings = MANY_SHARDS | {"backend.engine": "ray"}
    for words, expected in zip(collection.verbs, collection.manifests, strict=True):
        hurt = Run(tmp_path / "home", *words, settings=settings)
        hurt.at_work(5)[0].kill()
        assert hurt.manifest() == expected
