"""Manners on the web: taking turns, waiting when asked to, and taking no for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from email.utils import parsedate_to_datetime

_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives of X-Robots-Tag that carry a colon and are no name of a robot."""


class Host:
    """What is known of one host: who may ask now, and how it went lately."""

    def __init__(self, concurrency: int) -> None:
        """Start with a good opinion; at most `concurrency` may ask at one time."""
        self.slots = asyncio.Semaphore(concurrency)
        self.ready_at = 0.0
        self.failures = 0
        """In a row, up to now."""
        self.given_up = False
        """It asked for a longer wait than is allowed."""

    async def turn(self, delay_seconds: float) -> None:
        """Wait until the host may be asked."""
        clock = asyncio.get_running_loop().time
        while (wait := self.ready_at - clock()) > 0:
            await asyncio.sleep(wait)
        self.ready_at = clock() + delay_seconds

    def rest(self, seconds: float) -> None:
        """Leave the host alone for a while."""
        self.ready_at = max(self.ready_at, asyncio.get_running_loop().time() + seconds)


class Transient(Exception):
    """Asking again may help."""

    def __init__(self, reason: str, host: Host, *, busy: bool = False, wait_seconds: float | None = None) -> None:
        """Keep what to do about it.

        Args:
            reason: the verdict, when asking again does not help either.
            host: who failed.
            busy: the host wants to be left alone, not only for this address.
            wait_seconds: for how long, where it says so.
        """
        super().__init__(reason)
        self.reason, self.host, self.busy, self.wait_seconds = reason, host, busy, wait_seconds


def opted_out(robots: Iterable[str], tdm: str, words: Collection[str], agent: str) -> str:
    """Give the first word that forbids the use of an answer; empty when nothing does.

    Args:
        robots: values of X-Robots-Tag, such as `noai, noindex` or `otherbot: noai`; a robot's name holds for what follows it.
        tdm: value of TDM-Reservation; `1` reserves.
        words: what forbids.
        agent: our own name; what is said to other robots does not count.
    """
    for value in robots:
        ours = True
        for part in value.lower().split(","):
            name, colon, word = (piece.strip() for piece in part.partition(":"))
            if colon and name not in _WITH_VALUE:
                ours = name == agent.lower()
            if ours and (said := word if colon else name) in words:
                return said
    return "tdm-reservation" if tdm.strip() == "1" and "tdm-reservation" in words else ""


def seconds_to_wait(retry_after: str, now: float) -> float | None:
    """Read Retry-After, seconds or a date; None where it says nothing.

    Args:
        retry_after: value of the header.
        now: present time, seconds since 1970.
    """
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return None
