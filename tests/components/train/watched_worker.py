"""The training worker, watched and hindered: writes down each sample that the network sees, can be slow or spoil one.

SAMPLE_LOG      folder; each process adds a line per forward pass: the first noise value of each sample, which names it
SLOW_S          pause before each forward pass, so that a test meets a run at a chosen step
SPOILT_SAMPLE   index of a sample whose latent is not finite
"""

import json
import os
import sys
import time
from pathlib import Path

from components.train.order import draw

TOKENS, VALUES = 4, 16
"""Of the pairs in conftest."""


def in_place_of(command):
    """A `launch.command` that starts this worker."""

    def watched(job_file, settings):
        own = {"components.train.worker": "tests.components.train.watched_worker"}
        return [own.get(word, word) for word in command(job_file, settings)]

    return watched


def mark(sample, seed=0):
    """What names a sample: the first value of its noise."""
    return float(draw(seed, sample, TOKENS, VALUES).noise_TD[0, 0])


def samples(folder, total):
    """Indices of the samples in a log, in the order of each process."""
    index = {mark(sample): sample for sample in range(total)}
    lines = (line for path in sorted(Path(folder).glob("*.jsonl")) for line in path.read_text().splitlines())
    return [index[value] for line in lines for value in json.loads(line)]


counting = []
"""Holds something while arithmetic is counted, which trains nothing."""


def aside(count):
    """Leave the counting of arithmetic unwatched."""

    def counted(*given):
        counting.append(True)
        try:
            return count(*given)
        finally:
            counting.clear()

    return counted


def watch(forward):
    log, pause = os.environ.get("SAMPLE_LOG"), float(os.environ.get("SLOW_S", "0"))
    spoilt = mark(int(os.environ["SPOILT_SAMPLE"])) if "SPOILT_SAMPLE" in os.environ else None

    def watched(self, batch):
        if counting:
            return forward(self, batch)
        time.sleep(pause)
        marks = batch.noise_BTD[:, 0, 0].tolist()
        if log:
            with (Path(log) / f"{os.getpid()}.jsonl").open("a") as file:
                file.write(json.dumps(marks) + "\n")
        if spoilt in marks:
            batch.x0_BTD[marks.index(spoilt)] = float("inf")
        return forward(self, batch)

    return watched


if __name__ == "__main__":
    from components.train import objective, session, worker

    objective.Objective.forward = watch(objective.Objective.forward)
    session.count_flops = aside(session.count_flops)
    sys.exit(worker.main())
