"""What kept features take, said before they are made, and refused where there is no room."""

from __future__ import annotations

from collections.abc import Sequence

from components.errors import TrainError
from components.train.events import Emit
from components.train.kept import Keeping


def require_room(keeping: Keeping, missing: Sequence[int], free: int, *, where: str, emit: Emit) -> None:
    """Say what the features take, as a note and as a phase.

    Args:
        keeping: what is kept.
        missing: chunks that are still to be made.
        free: bytes that there are for them.
        where: `disk` or `memory`.
        emit: takes the events.

    Raises:
        TrainError: the missing ones take more than is free.
    """
    total, more = keeping.bytes_of(range(len(keeping.parts))), keeping.bytes_of(missing)
    pairs = sum(len(part.rows) for part in keeping.parts)
    cost = f"{', '.join(keeping.names)} of {pairs} pairs take {size_text(total)} of {where}, {size_text(more)} still to be made"
    emit("note", text=f"{cost}; {size_text(free)} are free", bytes=total, missing_bytes=more, free_bytes=free)
    emit("phase", phase=f"keeping {size_text(total)} of features ({where})", done=0, total=1)
    if more > free:
        raise TrainError(
            f"The features {cost}, but only {size_text(free)} are free. Free some, or set train.cache to a kind that keeps less "
            "(none, lrp, latents), or train.cache_place to the other place."
        )


def size_text(count: int) -> str:
    """Bytes for people, three digits."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
