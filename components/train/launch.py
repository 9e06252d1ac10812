"""Parent side of the launch: start the training processes, forward their events, never leave one behind."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
from pathlib import Path

from components.errors import TrainError
from components.train.events import OnEvent, parse
from components.train.nodes import torchrun_arguments
from components.train.settings import TrainSettings

LOG = "worker.log"
TAIL_LINES = 20
GRACE_SECONDS = 5.0
REPOSITORY = Path(__file__).resolve().parents[2]


def command(job_file: Path, settings: TrainSettings) -> list[str]:
    """Command line of a training run: torchrun for ZeRO, the worker itself for the plain engine."""
    worker = ["components.train.worker", str(job_file)]
    if settings.engine == "plain":
        return [sys.executable, "-m", *worker]
    torchrun = [*torchrun_arguments(settings), "--module", *worker]
    return [sys.executable, "-m", "components.train.launcher", str(os.getpid()), *torchrun]


def environment(settings: TrainSettings) -> dict[str, str]:
    """Environment of the training processes: the own one with additions."""
    here = settings.processes // settings.nodes
    threads = settings.threads_per_process or max(1, (os.cpu_count() or 1) // here)
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        # threads that spin while they wait make an update ten times slower when anything else runs on the machine
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(paths),
        # for a worker without torchrun, whose launcher is this process
        "LUCIDFLUX_LAUNCHER_PID": str(os.getpid()),
    }


def launch(job_file: Path, settings: TrainSettings, on_event: OnEvent) -> None:
    """Run a job in processes of its own and wait for its end.

    Args:
        job_file: a `Job` as JSON; its folder takes the log.
        settings: decides engine, processes and threads.
        on_event: called for every event; when it raises, the processes are ended.

    Raises:
        TrainError: the run stopped; says why, or quotes the end of the log.
    """
    log_path = job_file.parent / LOG
    reasons: list[str] = []
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command(job_file, settings), stdout=subprocess.PIPE, stderr=log, env=environment(settings), start_new_session=True
        )
        try:
            _forward(process, on_event, reasons)
            code = process.wait()
        finally:
            stop(process)
    if code:
        raise TrainError(reasons[0] if reasons else _unexplained(code, log_path))


def _forward(process: subprocess.Popen[bytes], on_event: OnEvent, reasons: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = parse(line)
        if event is None:
            continue
        if event["event"] == "error":
            reasons.append(str(event["message"]))
        on_event(event)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a launcher and, through it, its workers: asked first, so that torchrun can collect them, then killed."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        # its workers asked the kernel to be killed with it
        process.kill()
        process.wait()


def _unexplained(code: int, log_path: Path) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    with log_path.open(errors="replace") as log:
        tail = "".join(collections.deque(log, maxlen=TAIL_LINES)).strip()
    return (
        f"The training process {how} without a reason (a lack of memory is a common one). The same command goes on from the "
        f"last checkpoint. The end of {log_path}:\n{tail}"
    )
