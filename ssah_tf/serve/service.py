"""What every service of ours shares: threads, the gate, the answers to mistakes."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as AnyHTTPException

from ssah_tf.serve.access import COOKIE
from ssah_tf.serve.decoders import Busy, DecoderDied, Decoders
from ssah_tf.serve.later import NotYet
from ssah_tf.serve.limits import limits_at
from ssah_tf.serve.metrics import Metrics
from ssah_tf.serve.pictures import Refused
from ssah_tf.serve.schemas import Mistake
from ssah_tf.serve.settings import Settings
from ssah_tf.serve.thumbnails import Known, Thumbnails
from ssah_tf.system.errors import SsahError, TooManyPixels
from ssah_tf.version import __version__

T = TypeVar("T")
#: How the token is shown: programs send it, browsers a cookie.
SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
#: Status of errors of ours that have another one than 422.
STATUS: dict[type[SsahError], int] = {DecoderDied: 400, Refused: 410, TooManyPixels: 413, Busy: 503}


class Service:
    """What the routes share.

    Attributes:
        settings: The limits.
        metrics: The counters.
        decoders: Processes that decode pictures.
        thumbnails: Those that are kept.
        work: Threads for what a request asks for.
        files: Threads that look for pictures, so that a slow disk does not hold up the rest.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.metrics = Metrics()
        self.decoders = Decoders(settings.decoders, settings.decode_memory, settings.timeout)
        self.metrics.gauge(
            "ssah_decoders_died",
            "Decoders that ended with a picture, or were ended",
            lambda: self.decoders.died,
        )
        self.thumbnails = Thumbnails(settings.cache, settings.cache_size)
        threads = settings.threads or os.cpu_count() or 1
        self.work = ThreadPoolExecutor(threads, "work")
        self.files = ThreadPoolExecutor(threads, "files")

    async def run(
        self, pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object
    ) -> T:
        """Run a function in a thread; what waits too long for one is given up.

        Raises:
            HTTPException: 503, it took too long.
        """
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except TimeoutError:
            raise HTTPException(503, "the answer took too long", {"retry-after": "5"}) from None

    async def thumbnail(self, path: str, roots: Sequence[str], known: Known | None = None) -> bytes:
        """A photo's central square, drawn or kept. See `Thumbnails.find` and `Decoders.draw`."""
        kept, known = await self.run(self.files, self.thumbnails.find, path, roots, known)
        if kept is not None:
            return kept
        drawn, stamp = await self.decoders.draw("thumbnail", path, roots)
        await self.run(self.files, self.thumbnails.keep, known, stamp, drawn)
        return drawn

    async def large(self, path: str, roots: Sequence[str]) -> bytes:
        """A whole photo, not larger than a screen. See `Decoders.draw`."""
        return (await self.decoders.draw("large", path, roots))[0]

    async def of_moving(
        self,
        draw: Callable[[str, Sequence[str]], Awaitable[bytes]],
        path_of: Callable[[], str],
        roots: Sequence[str],
        lock: AbstractContextManager[Any],
    ) -> bytes:
        """A picture of a photo that may be moved while it waits: then of where it is now.

        Args:
            draw: `thumbnail` or `large`.
            path_of: Says where the photo is.
            roots: See `pictures.open_inside`.
            lock: Is held by whoever moves photos.
        """

        def settled() -> str:
            with lock:
                return path_of()

        path = path_of()
        try:
            return await draw(path, roots)
        except Refused:
            if (now := await self.run(self.work, settled)) == path:
                raise
            return await draw(now, roots)

    def make(
        self, title: str, description: str, beside: Callable[[], Awaitable[None]] | None = None
    ) -> FastAPI:
        """An application without a route.

        Args:
            title: Its name, in the description of its API.
            description: What it does, likewise.
            beside: What goes on beside the requests, if anything.
        """

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            going_on = beside and asyncio.ensure_future(beside())
            if self.settings.warm:
                self.decoders.warm_up()
            yield
            if going_on:
                going_on.cancel()
            await self.decoders.close()
            for pool in (self.work, self.files):
                pool.shutdown(wait=False, cancel_futures=True)

        app = Described(
            title=title,
            version=__version__,
            description=description,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
            responses={"4XX": {"model": Mistake}, 503: {"model": Mistake}},
        )
        app.token = self.settings.token is not None
        add_mistakes(app)
        return app


class Described(FastAPI):
    """An application whose description says how the token is shown, if there is one.

    Attributes:
        token: Whether there is one.
    """

    token = False

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description."""
        if self.openapi_schema is None:
            schema = super().openapi()
            if self.token:
                schema.setdefault("components", {})["securitySchemes"] = SCHEMES
                schema["security"] = [{name: []} for name in SCHEMES]
                for route in self.routes:
                    if isinstance(route, APIRoute) and limits_at(route).open:
                        for operation in schema["paths"].get(route.path, {}).values():
                            operation["security"] = []
        return super().openapi()


def add_mistakes(app: FastAPI) -> None:
    """Every mistake of a client is one line of JSON."""

    def answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        headers = {"cache-control": "no-store", **(headers or {})}
        return JSONResponse({"error": message}, status, headers)

    @app.exception_handler(AnyHTTPException)
    async def http(_: Request, error: AnyHTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(NotYet)
    async def not_yet(_: Request, error: NotYet) -> JSONResponse:
        return answer(503, str(error), {"retry-after": "1"})

    @app.exception_handler(SsahError)
    async def ours(_: Request, error: SsahError) -> JSONResponse:
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)
        return answer(status, str(error), {"retry-after": "5"} if status == 503 else None)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return answer(500, "an error of ours; the log of the service says more")
