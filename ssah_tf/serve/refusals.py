"""Answers to requests that the service does not take in."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Receive, Send

#: Bytes of a refused upload that are read and dropped, so that the client can hear the answer.
DRAIN = 64 * 2**20
#: Seconds for that, at most.
DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: HTTP status, 4xx or 503.
        reason: One word, for the metrics.
        message: One line for the client.
        headers: More headers.
    """

    status: int
    reason: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


def later(status: int, reason: str, message: str, seconds: int) -> Refusal:
    """A refusal that says when to try again."""
    return Refusal(status, reason, message, (("retry-after", str(seconds)),))


async def refuse(refusal: Refusal, receive: Receive, send: Send, seconds: float) -> None:
    """Answer at once; then drop some of what is still coming, or the client may not hear it.

    Args:
        refusal: What to say.
        receive: Of the request.
        send: Of the request.
        seconds: How long to drop what comes, at most.
    """
    body = json.dumps({"error": refusal.message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in refusal.headers),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await drain(receive, min(seconds, DRAIN_SECONDS))
    await send({"type": "http.response.body", "body": b""})


async def drain(receive: Receive, seconds: float) -> None:
    """Drop what is left of a body, up to a limit in bytes and seconds."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while size < DRAIN:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                size += len(message.get("body", b""))
