"""Connections that do not get to the point are closed."""

from uvicorn.protocols.http.h11_impl import H11Protocol


def timed(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, with a time-out for what comes before a request.

    uvicorn waits without end for the headers of a request that has begun, and for a client that
    has connected and says nothing; a few hundred of those would use up all connections.

    Args:
        seconds: That a connection may be open without a request being answered on it.
    """

    class TimedProtocol(H11Protocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.timer = self.loop.call_later(seconds, self.look, None)

        def look(self, last):
            """Close if no request is being answered, and none was since the last look."""
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self.cycle is last:
                self.transport.close()
            else:
                self.timer = self.loop.call_later(seconds, self.look, self.cycle)

        def connection_lost(self, error):
            self.timer.cancel()
            super().connection_lost(error)

    return TimedProtocol
