"""What a training process says on the way: one JSON object per line.

Every event has `event`, one of

    phase       phase, done, total                      what it is doing
    step        step, loss, learning_rate, grad_norm, samples_per_second, data_share, seconds; loss_by_time and
                count_by_time (see meter), memory_gib, tflops of one process, flops_share where the peak is given
    validation  step, scores, grid, best, seconds       scores by name, a PNG of LQ, restored and HQ
    estimate    text, seconds_left, steps_left, device_hours, cost where the price is given
    spent       seconds                                 by phase, of the first process
    checkpoint  step, name, seconds, held_seconds       a checkpoint is on disk; `held_seconds` training stood still for it
    copy        step, seconds                           a checkpoint is in the object store too
    note        text, and figures                       something to know: resumed, control at step 0, what did not move
    error       message                                 why it stops
    done        step, loss_first, loss_last, resumed_from_step, notes
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]
Emit = Callable[..., None]
"""Called as emit("step", step=1, loss=0.5)."""


def unheard(event: Event) -> None:
    """Take an event and do nothing."""


def mute(event: str, **values: Any) -> None:
    """Say nothing."""


def take_stdout() -> Emit:
    """Keep standard output for events, and send everything else that is printed to standard error.

    Returns:
        the function that writes an event. It raises BrokenPipeError when nobody reads any more.
    """
    channel = os.dup(1)
    os.dup2(2, 1)
    one_at_a_time = threading.Lock()

    def emit(event: str, **values: Any) -> None:
        with one_at_a_time:
            os.write(channel, json.dumps({"event": event, **values}).encode() + b"\n")

    return emit


def parse(line: bytes) -> Event | None:
    """Read one line; None when it is no event."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None
