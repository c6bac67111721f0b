"""Answers that a client has already are not sent again."""

import hashlib

from starlette.types import Message, Scope, Send

#: Headers that tell of a body.
OF_BODY = (b"content-length", b"content-type")


def conditional(scope: Scope, send: Send) -> Send:
    """`send` that gives every whole answer to a GET its ETag, or answers 304 to who has that.

    Args:
        scope: The request.
        send: Of the request.
    """
    if scope["method"] != "GET":
        return send
    there = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    begun: Message | None = None

    async def tagged(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.start" and message["status"] == 200:
            begun = message
            return
        if begun is not None:
            begin, begun = begun, None
            if not message.get("more_body"):
                begin, message = with_tag(begin, message, there)
            await send(begin)
        await send(message)

    return tagged


def with_tag(begin: Message, whole: Message, there: bytes) -> tuple[Message, Message]:
    """The messages of an answer with its ETag, or without its body if the client has it.

    Args:
        begin: The status and headers.
        whole: The body.
        there: ETags that the client has, as `If-None-Match` says.
    """
    digest = hashlib.blake2b(whole.get("body", b""), digest_size=12).hexdigest()
    tag = f'"{digest}"'.encode()
    headers = [*begin["headers"], (b"etag", tag)]
    # A proxy that compresses makes a tag weak: the content is the same.
    if {tag, b"*"}.isdisjoint(one.strip().removeprefix(b"W/") for one in there.split(b",")):
        return {**begin, "headers": headers}, whole
    kept = [(name, value) for name, value in headers if name.lower() not in OF_BODY]
    return {**begin, "status": 304, "headers": kept}, {**whole, "body": b""}
