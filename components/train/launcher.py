"""Child side of the launch: torchrun in a process that ends with the one that started it.

`python -m components.train.launcher PARENT_PID TORCHRUN_ARGUMENTS...`
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

LAUNCHER_PID = "LUCIDFLUX_LAUNCHER_PID"
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; elsewhere than on Linux, do nothing.

    Args:
        parent: process id that the parent had; when it is gone already, this process ends at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run torchrun here."""
    end_with_parent(int(sys.argv[1]))
    os.environ[LAUNCHER_PID] = str(os.getpid())
    from torch.distributed.run import main as torchrun

    torchrun(sys.argv[2:])


if __name__ == "__main__":
    main()
