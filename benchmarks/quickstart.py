"""Time and memory of a quickstart on a fresh home.

`python -m benchmarks.quickstart [PHOTOS]`

Memory is the sum over the process tree of proportional set sizes (shared pages counted once), sampled twice a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import psutil

SECONDS = 0.5


def main() -> None:
    """Run it, watch it, and print what it took."""
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, "-m", "flows", "--home", home, "--json", "quickstart", *sys.argv[1:]]
        started = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            time.sleep(SECONDS)
        seconds = time.monotonic() - started
        assert process.stdout is not None
        record = json.loads(process.stdout.read())
    print(f"quickstart: {seconds:.0f} s, peak {peak / 2**30:.2f} GiB, exit {process.returncode}")
    for cell in record["report"]["summaries"]:
        print(f"{cell['benchmark']:10}{cell['method']:11}{cell['metric']:6}{cell['mean']:9.3f}  n={cell['n']}")


def tree_bytes(pid: int) -> int:
    """Memory of a process and its descendants."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main()
