"""The service as an application: what its routes share, its pages and routes, its errors."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from ssah_tf.data.decode import decode
from ssah_tf.search.photo_index import Hit, Order
from ssah_tf.serve.library import Library, LiveLibrary
from ssah_tf.serve.metrics import Metrics
from ssah_tf.serve.middleware import Gate, TooLarge, drain, too_large
from ssah_tf.serve.pictures import Refused, Thumbnails
from ssah_tf.serve.routes import add_pages, add_photos, add_search, add_state
from ssah_tf.serve.schemas import Mistake
from ssah_tf.serve.settings import Settings
from ssah_tf.system.errors import ImageError, SsahError
from ssah_tf.version import __version__

DESCRIPTION = """Finds the photos of an index that are most like a picture, or those of a label.

An image is sent as the body (`curl --data-binary @cat.jpg`) or as the field `image` of a form."""

T = TypeVar("T")

log = logging.getLogger("uvicorn.error")


class Service:
    """What the routes share.

    Attributes:
        live: The `LiveLibrary`.
        settings: The limits.
        metrics: The counters.
        thumbnails: Draws and keeps them.
        work: Threads for searches.
        draw: Threads for pictures, so that a page of them does not hold up a search.
    """

    def __init__(self, live: LiveLibrary, settings: Settings):
        self.live = live
        self.settings = settings
        self.metrics = Metrics(live)
        self.thumbnails = Thumbnails()
        threads = settings.threads or os.cpu_count() or 1
        self.work = ThreadPoolExecutor(threads, "search", one_thread)
        self.draw = ThreadPoolExecutor(threads, "picture")

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

    def encode(self, library: Library, content: bytes) -> np.ndarray:
        """The full code of an uploaded image, `(1, bytes)`.

        Raises:
            ImageError: It cannot be read, or is too large.
        """
        with self.metrics.work.labels("decode").time():
            size = library.encoder.image_size
            pixels = decode(content, size, "the image", self.settings.max_pixels)
        with self.metrics.work.labels("encode").time():
            return library.encoder.full_codes(pixels[None])

    def search(
        self,
        library: Library,
        source: bytes | np.ndarray,
        k: int,
        radius: int | None,
        filters: Sequence[str],
        order: Order,
    ) -> tuple[np.ndarray, list[Hit]]:
        """The full code of an image, or a code as it is, and its neighbours."""
        code = self.encode(library, source) if isinstance(source, bytes) else source
        with self.metrics.work.labels("search").time():
            return code, library.index.neighbours(code, k, radius, filters, order)[0]

    async def watch(self) -> None:
        """Take the index anew whenever it was saved again."""
        logged = ""
        while True:
            await asyncio.sleep(self.settings.watch)
            try:
                if await asyncio.to_thread(self.live.refresh):
                    log.warning("the index was made anew: %d photos", len(self.live.current))
            except Exception:
                log.exception("the index could not be looked at")
            if self.live.error != logged:
                logged = self.live.error
                if logged:
                    log.warning("the saved index is not taken, the old one goes on: %s", logged)


def one_thread() -> None:
    """Keep FAISS to one thread in the calling one: it is searches that run side by side.

    For one query more threads bring nothing, and on a busy machine they wait for each other for
    up to thirty times as long as the search takes.
    """
    with contextlib.suppress(ImportError):
        import faiss

        faiss.omp_set_num_threads(1)


def make_app(live: LiveLibrary, settings: Settings) -> Gate:
    """The service as an ASGI application.

    Args:
        live: The index.
        settings: The limits.
    """
    service = Service(live, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch()) if settings.watch else None
        yield
        if watching:
            watching.cancel()
        for pool in (service.work, service.draw):
            pool.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="ssah serve",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={"4XX": {"model": Mistake}, 503: {"model": Mistake}},
    )
    add_mistakes(app)
    add_search(app, service)
    add_photos(app, service)
    add_state(app, service)
    gate = Gate(app, settings, service.metrics)
    add_pages(app, service, gate)
    return gate


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

    @app.exception_handler(ImageError)
    async def image(_: Request, error: ImageError) -> JSONResponse:
        return answer(422, str(error))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return answer(410, str(error))

    @app.exception_handler(SsahError)
    async def other(_: Request, error: SsahError) -> JSONResponse:
        return answer(422, str(error))

    @app.exception_handler(TooLarge)
    async def large_body(request: Request, error: TooLarge) -> JSONResponse:
        if error.receive is not None:
            await drain(error.receive)
        refusal = too_large(error.limit)
        return answer(refusal.status, refusal.message, {"connection": "close"})

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return answer(500, "an error of ours; the log of the service says more")
