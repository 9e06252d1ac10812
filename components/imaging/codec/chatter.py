"""What C decoders write past Python, straight to the error stream."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBTIFF = re.compile(rb"^\w+: .*\.$")
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Catch libtiff's complaints, which Pillow neither raises nor silences.

    File descriptor 2 belongs to the whole process, so decoders take turns, and lines of another shape are
    passed on.

    Yields:
        A list that holds the complaints once the block has ended.
    """
    complaints: list[str] = []
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield complaints
        finally:
            os.dup2(kept, 2)
            for line in os.pread(caught.fileno(), 1 << 20, 0).splitlines(keepends=True):
                if _LIBTIFF.match(line.strip()):
                    complaints.append(line.decode(errors="replace").strip())
                else:
                    os.write(kept, line)
            os.close(kept)
