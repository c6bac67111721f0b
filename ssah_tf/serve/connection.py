"""Connections that do not get to the point are closed."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ssah_tf.serve.settings import Settings


def timed(settings: Settings) -> type[H11Protocol]:
    """uvicorn's protocol, with an end to what it would wait for without one.

    That is a client which has connected and says nothing, a request whose headers have begun and
    do not end, and an answer that the client does not take; a few hundred of those would use up all
    connections. (Bodies and the work on them have limits of their own.)

    Args:
        settings: `timeout` is how long a connection may be open without a request being answered on
            it; three times that for one request. An answer that gets on by `slowest` may take
            longer.
    """
    seconds = settings.timeout

    class TimedProtocol(H11Protocol):
        # uvicorn, too, takes fewer kinds of transports than asyncio says it must.
        def connection_made(  # type: ignore[override]
            self, transport: asyncio.Transport
        ) -> None:
            super().connection_made(transport)
            self.timer = self.loop.call_later(seconds, self.look, None, 0, 0)

        def look(self, last: RequestResponseCycle | None, left: int, times: int) -> None:
            """Break off if for too many looks in a row nothing has got on.

            Args:
                last: The request at the last look.
                left: Bytes of its answer that had not left then.
                times: Looks without anything new.
            """
            cycle, now = self.cycle, self.transport.get_write_buffer_size()
            idle = cycle is None or cycle.response_complete
            arriving = not idle and cycle.more_body and not cycle.response_started
            taken = left - now >= settings.slowest * seconds
            times = times + 1 if cycle is last and not arriving and not taken else 0
            if times >= (1 if idle else 3):
                self.transport.abort()
            else:
                self.timer = self.loop.call_later(seconds, self.look, cycle, now, times)

        def send_400_response(self, msg: str) -> None:
            """Say what is no HTTP; where an answer is under way it cannot be said."""
            if self.cycle is not None and self.cycle.response_started:
                self.transport.abort()
            else:
                super().send_400_response(msg)

        def connection_lost(self, error: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(error)

    return TimedProtocol
