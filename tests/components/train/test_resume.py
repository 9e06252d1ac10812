"""Two machines, of which the one without the first process has the newest checkpoint."""

import subprocess
import sys

import pytest

from components.backends.storage import LocalStorage
from components.train import checkpoint
from components.train.copies import Copies
from components.train.job import CHECKPOINTS
from components.train.launch import REPOSITORY
from tests.components.train.test_checkpoint import state
from tests.components.train.test_writer import make_job

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MACHINE = """
import sys
from pathlib import Path
import torch, torch.distributed as dist
from components.train.job import Job
from components.train.place import Place
from components.train.resume import resume
rank, meeting, job = int(sys.argv[1]), sys.argv[2], Job.model_validate_json(sys.argv[3])
dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
found = resume(job, Place(rank, 2, torch.device("cpu")), lambda name, why: print("passed over", name, file=sys.stderr))
print("nothing" if found is None else [found.step, len(found.losses), *sorted(found.optimizer), float(found.weights["a.w"].sum()),
      float(found.optimizer["step/a.w"])])
dist.barrier()
dist.destroy_process_group()
"""


def found_by(jobs, meeting):
    """What each machine goes on from."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MACHINE, str(rank), f"file://{meeting}", job.model_dump_json()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for rank, job in enumerate(jobs)
    ]
    ended = [process.communicate(timeout=200) for process in started]
    assert all(process.returncode == 0 for process in started), ended
    return [said.strip() for said, _ in ended]


@pytest.fixture
def jobs(tmp_path):
    made = make_job(tmp_path, checkpoint_store=True)
    return [made.model_copy(update={"folder": str(tmp_path / f"machine-{rank}")}) for rank in range(2)]


def test_both_go_on_from_the_newest_of_any_disk_and_of_the_store(jobs, tmp_path):
    assert found_by(jobs, tmp_path / "first") == ["nothing", "nothing"]
    for step, job in zip((3, 5), jobs, strict=True):
        checkpoint.write(job.path / CHECKPOINTS, state(step), job.identity)
    five = "[5, 5, 'exp_avg/a.w', 'step/a.w', 30.0, 5.0]"
    assert found_by(jobs, tmp_path / "second") == [five, five]
    copies = Copies(LocalStorage(jobs[0].objects), jobs[0].identity)
    path = tmp_path / "elsewhere"
    checkpoint.write(path, state(7), jobs[0].identity)
    copies.follow(path, checkpoint.Retention(2, 0), 7)
    seven = "[7, 7, 'exp_avg/a.w', 'step/a.w', 42.0, 7.0]"
    assert found_by(jobs, tmp_path / "third") == [seven, seven]
