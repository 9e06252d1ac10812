"""Memory for pictures that are read at one time and handed on in order."""

from __future__ import annotations

import asyncio


class NoRoom(Exception):
    """Others come first and the memory is full; what was read is dropped and read again later."""


class Room:
    """Counts bytes of pictures under way; the next one in order always goes on, so that the others can follow."""

    def __init__(self, limit_bytes: int) -> None:
        """Start with nothing held and picture 0 as the next."""
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.head = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def enter(self, index: int) -> None:
        """Wait until half of the room is free or everything before `index` was handed on."""
        while index != self.head and self.held_bytes > self.limit_bytes // 2:
            self._waiting[index] = asyncio.get_running_loop().create_future()
            await self._waiting[index]

    def advance(self) -> None:
        """Make the following picture the next one."""
        self.head += 1
        self._wake()

    def _wake(self) -> None:
        free = self.held_bytes <= self.limit_bytes // 2
        for index in [index for index in self._waiting if free or index == self.head]:
            future = self._waiting.pop(index)
            if not future.done():
                future.set_result(None)

    def hold(self, index: int, count: int) -> None:
        """Count bytes; raises NoRoom beyond the limit unless `index` is the next."""
        self.held_bytes += count
        if index != self.head and self.held_bytes > self.limit_bytes:
            raise NoRoom

    def free(self, count: int) -> None:
        """Take bytes off the count."""
        self.held_bytes -= count
        if count:
            self._wake()


class Share:
    """What one picture holds of the room."""

    def __init__(self, room: Room, index: int) -> None:
        """Hold nothing yet."""
        self.room, self.index = room, index
        self.bytes = 0

    def hold(self, count: int) -> None:
        """Hold more; raises NoRoom."""
        self.bytes += count
        self.room.hold(self.index, count)

    def clear(self) -> None:
        """Hold nothing."""
        self.room.free(self.bytes)
        self.bytes = 0
