"""Bodies of requests: read to their end before a request takes anything from others.

A body may come slowly, as long as it comes. While it does it holds no place among the searches.
"""

import asyncio
import math
from collections import Counter
from contextlib import suppress

from starlette.types import Message, Receive

from ssah_tf.serve.refusals import Refusal, later
from ssah_tf.serve.settings import Settings

#: Seconds after which an upload is a slow one.
SLOW = 5.0
#: Bytes that the bodies of one client, and of all, may hold at once, in largest uploads.
OF_CLIENT, OF_ALL = 32, 64


class Bodies:
    """What the bodies of all requests hold.

    Args:
        settings: The limits.

    Attributes:
        held: Client -> bytes of its bodies that are arriving, or being answered.
        slow: Client -> its slow uploads.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.held: Counter[str] = Counter()
        self.slow: Counter[str] = Counter()
        self.total = 0

    def hold(self, client: str, size: int) -> Refusal | None:
        """Count bytes that have come; a negative size gives them back."""
        self.held[client] += size
        self.total += size
        if not self.held[client]:
            del self.held[client]
        if size <= 0:
            return None
        if self.held[client] > OF_CLIENT * self.settings.max_upload:
            return later(429, "uploads", "too many large uploads at once; try again", 1)
        if self.total > OF_ALL * self.settings.max_upload:
            return later(503, "uploads", "too many large uploads at once; try again", 1)
        return None


class Body:
    """The body of one request. It is counted until it is closed.

    Args:
        bodies: Those of all requests.
        client: Whose it is.

    Attributes:
        gone: Whether the client broke off before its end.
    """

    def __init__(self, bodies: Bodies, client: str):
        self.bodies, self.client = bodies, client
        self.content = bytearray()
        self.size = 0
        self.gone = self.slow = False

    async def read(self, receive: Receive) -> Refusal | None:
        """Take in the body; why not, if it is too large or comes too slowly."""
        settings, clock = self.bodies.settings, asyncio.get_running_loop().time
        slow_at, look_at, seen = clock() + SLOW, clock() + settings.timeout, 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(slow_at, look_at)):
                    message = await receive()
                refusal = self.take(message)
                if refusal or self.gone or not message.get("more_body"):
                    self.give_place()
                    return refusal
            now = clock()
            if now >= slow_at:
                slow_at = math.inf
                if not self.take_place():
                    return later(429, "uploads", "too many slow uploads at once; try again", 5)
            if now >= look_at:
                if self.size - seen < settings.slowest * settings.timeout:
                    return too_slow(settings)
                look_at, seen = now + settings.timeout, self.size

    def take(self, message: Message) -> Refusal | None:
        """A part of it."""
        self.gone = message["type"] == "http.disconnect"
        part, limit = message.get("body", b""), self.bodies.settings.max_upload
        self.size += len(part)
        refusal = self.bodies.hold(self.client, len(part))
        if self.size > limit:
            return too_large(limit)
        self.content += part
        return refusal

    def take_place(self) -> bool:
        """Take a place among the slow uploads of the client, if one is free."""
        slow = self.bodies.slow
        self.slow = slow[self.client] < self.bodies.settings.slow_uploads
        slow[self.client] += self.slow
        return self.slow

    def give_place(self) -> None:
        """Give it back."""
        slow = self.bodies.slow
        slow[self.client] -= self.slow
        self.slow = False
        if not slow[self.client]:
            del slow[self.client]

    def again(self, receive: Receive) -> Receive:
        """`receive` that gives the whole body first."""
        whole: Message | None = {"type": "http.request", "body": bytes(self.content)}
        self.content = bytearray()

        async def give() -> Message:
            nonlocal whole
            if whole is None:
                return await receive()
            given, whole = whole, None
            return given

        return give

    def close(self) -> None:
        """Count it no more."""
        self.give_place()
        self.bodies.hold(self.client, -self.size)
        self.content = bytearray()


def too_large(limit: int) -> Refusal:
    """A body above the limit, or of a length that is none."""
    return Refusal(
        413,
        "size",
        f"the upload is too large: at most {limit / 2**20:.3g} MiB",
        (("connection", "close"),),
    )


def too_slow(settings: Settings) -> Refusal:
    """A body that does not get on."""
    needed = f"at least {settings.slowest / 1000:.3g} kB a second are needed"
    return Refusal(408, "slow", f"the upload came too slowly: {needed}", (("connection", "close"),))
