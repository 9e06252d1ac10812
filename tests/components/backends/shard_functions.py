"""Functions that workers are given; apart from the tests, so that a worker imports little."""

import os
import signal
import tempfile
from pathlib import Path

from components.errors import DecodeError


def double(number):
    return 2 * number


def die_at_two(number):
    if number == 2:
        os._exit(9)
    return 2 * number


def fail(number):
    raise ValueError(number)


def fail_to_decode(number):
    raise DecodeError("truncated", str(number))


class Unpicklable(Exception):
    def __init__(self, left, right):
        super().__init__(f"{left} {right}")


def fail_badly(number):
    raise Unpicklable(number, number)


def die_the_first_time(folder, number):
    """Kill this process, unless another one was killed over the same number before."""
    mark = Path(folder) / str(number)
    with mark.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if number % 3 == 0 and len(mark.read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def use_up_time(number):
    signal.raise_signal(signal.SIGXCPU)


def pid(number):
    return os.getpid()


def leave_a_file(number):
    path = Path(tempfile.mkdtemp()) / "half"
    path.write_bytes(b"half a shard")
    if number == 2:
        os._exit(9)
    return str(path)
