"""Connections that do not get to the point are closed."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def timed(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, with an end to what it would wait for without one.

    That is a client which has connected and says nothing, a request whose headers have begun and
    do not end, and an answer that the client does not take; a few hundred of those would use up all
    connections. (Bodies and the work on them have time-outs of their own.)

    Args:
        seconds: That a connection may be open without a request being answered on it; three times
            that for one request.
    """

    class TimedProtocol(H11Protocol):
        # uvicorn, too, takes fewer kinds of transports than asyncio says it must.
        def connection_made(  # type: ignore[override]
            self, transport: asyncio.Transport
        ) -> None:
            super().connection_made(transport)
            self.timer = self.loop.call_later(seconds, self.look, None, 0)

        def look(self, last: object, times: int) -> None:
            """Break off if for too many looks in a row nothing new has come."""
            idle = self.cycle is None or self.cycle.response_complete
            times = times + 1 if self.cycle is last else 0
            if times >= (1 if idle else 3):
                self.transport.abort()
            else:
                self.timer = self.loop.call_later(seconds, self.look, self.cycle, times)

        def connection_lost(self, error: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(error)

    return TimedProtocol
