"""One training process: `python -m components.train.worker JOB.json`, alone or under torchrun.

Standard output carries events only; what libraries print goes to standard error, which the parent keeps as a log.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from pathlib import Path

from components.errors import LucidfluxError
from components.train.events import Emit, mute, take_stdout
from components.train.job import Job
from components.train.launcher import LAUNCHER_PID, end_with_parent

SHOWN = 300
"""Characters of an unforeseen error."""


def main() -> int:
    """Run the job that the command line names; gives the exit code."""
    if LAUNCHER_PID in os.environ:
        end_with_parent(int(os.environ[LAUNCHER_PID]))
    say = take_stdout()
    first = os.environ.get("RANK", "0") == "0"
    try:
        job = Job.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
        (say if first else mute)("phase", phase="imports", done=0, total=1)
        from components.train.session import train_here

        train_here(job, say if first else mute)
    except BrokenPipeError:
        # nobody listens: the parent was killed
        return 1
    except Exception as error:
        return _explain(error, say)
    return 0


def _explain(error: Exception, say: Emit) -> int:
    # models raise ValueError with a sentence for people
    meant = isinstance(error, LucidfluxError | ValueError)
    text = str(error) if meant else f"Training stopped by {type(error).__name__}: {str(error)[:SHOWN]}; its trace is in the log"
    say("error", message=text)
    # a full disk does not take the log either
    with contextlib.suppress(OSError):
        traceback.print_exc()
    return 1


if __name__ == "__main__":
    sys.exit(main())
