"""Room that is shared: a semaphore with weights."""

import asyncio
from collections import deque


class Room:
    """So much room, taken and given back in any amounts; who came first is first.

    Args:
        size: All of it.

    Attributes:
        free: What is left.
    """

    def __init__(self, size: int):
        self.size = self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take_now(self, amount: int) -> bool:
        """Take an amount, if there is so much and nobody waits."""
        if self._waiting or amount > self.free:
            return False
        self.free -= amount
        return True

    async def take(self, amount: int) -> None:
        """Take an amount, at most `size`, as soon as there is so much."""
        if not amount or self.take_now(amount):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(amount)
            self._admit()
            raise

    def give(self, amount: int) -> None:
        """Give an amount back."""
        self.free += amount
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            amount, future = self._waiting[0]
            if not future.done():
                if amount > self.free:
                    return
                self.free -= amount
                future.set_result(None)
            self._waiting.popleft()
