"""What a served model lets in: pictures within its limits, read first where a hostile file can do no harm.

A decoder is a C library: a file may make it crash, or never return, and the server would go with it. So each picture is
read once in a process apart, within a time; what that survives, the server reads too.
"""

from __future__ import annotations

import threading
import weakref

from components.backends.engine.processes import Trials
from components.errors import DecodeError
from components.imaging import codec
from components.register.settings import ServingSettings

Job = tuple[bytes, codec.Limits, float]


class Admission:
    """The door of one server; it has one process, started for the first picture."""

    def __init__(self, settings: ServingSettings) -> None:
        """Start nothing yet."""
        self.settings = settings
        self.limits = codec.Limits(**settings.model_dump(include=set(codec.Limits.model_fields)))
        self.trials = Trials()
        self.close = weakref.finalize(self, self.trials.__exit__)
        """Ends the process; happens by itself when nobody holds the door any more."""

    def check(self, data: bytes) -> None:
        """Read a picture to its end and forget it.

        On the main thread it is read in place: that is where scripts call the model, never a server; a process would run
        an unguarded script from its beginning again.

        Args:
            data: content of the file.

        Raises:
            DecodeError: with one of the codec's reasons.
            WorkerError: processes end before they are up.
        """
        if threading.current_thread() is threading.main_thread():
            codec.source(data, limits=self.limits)
            return
        answer = self.trials.ask(_read, (data, self.limits, self.settings.read_seconds))
        if isinstance(answer, int):
            raise DecodeError(codec.verdict_of_death(answer), f"within {self.settings.read_seconds:g} s of processor time")
        answer.result()


def _read(job: Job) -> None:
    data, limits, seconds = job
    with codec.time_limit(seconds):
        codec.source(data, limits=limits)
