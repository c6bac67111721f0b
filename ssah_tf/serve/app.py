"""The service: search and encode by HTTP, pictures of what is found, pages to look at."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from ssah_tf.data.decode import decode
from ssah_tf.search.photo_index import Hit
from ssah_tf.serve.library import Library, LiveLibrary
from ssah_tf.serve.metrics import Metrics
from ssah_tf.serve.middleware import COOKIE, Gate, TooLarge, drain, session_of, too_large
from ssah_tf.serve.pages import Page, read_pages
from ssah_tf.serve.pictures import Refused, Thumbnails, large
from ssah_tf.serve.schemas import About, Code, Health, Mistake, PhotoAnswer, SearchAnswer
from ssah_tf.serve.settings import Settings
from ssah_tf.serve.upload import read_upload
from ssah_tf.system.errors import ImageError, SsahError
from ssah_tf.version import __version__

#: How long a browser keeps a picture; its address changes with its content.
PICTURE_CACHE = "private, max-age=86400"

DESCRIPTION = """Finds the photos of an index that are most like a picture.

An image is sent as the body (`curl --data-binary @cat.jpg`) or as the field `image` of a form."""

#: What the OpenAPI description says of the body of a request with an image.
IMAGE_BODY = {
    "requestBody": {
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
        }
    }
}

Filters = Annotated[
    list[str],
    Query(
        alias="filter",
        max_length=20,
        description="`label=NAME`, `label=NAME|NAME` or `path=PATTERN`; all must be met.",
    ),
]
Number = Annotated[int, Path(alias="id", ge=0, le=2**63 - 1, description="Number of a photo.")]

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

    async def run(self, pool: ThreadPoolExecutor, function, *arguments):
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
        """The code of an uploaded image, `(1, bytes)`.

        Raises:
            ImageError: It cannot be read, or is too large.
        """
        with self.metrics.work.labels("decode").time():
            size = library.encoder.image_size
            pixels = decode(content, size, "the image", self.settings.max_pixels)
        with self.metrics.work.labels("encode").time():
            return library.encoder.encode(pixels[None])

    def search(
        self, library: Library, source: bytes | np.ndarray, k: int, radius: int | None, filters
    ) -> tuple[np.ndarray, list[Hit]]:
        """The code of an image, or a code as it is, and its neighbours."""
        code = self.encode(library, source) if isinstance(source, bytes) else source
        with self.metrics.work.labels("search").time():
            return code, library.index.neighbours(code, k, radius, filters)[0]

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
    async def lifespan(_):
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


def add_search(app: FastAPI, service: Service) -> None:
    """Search and encode."""
    settings = service.settings

    @app.post("/search", openapi_extra=IMAGE_BODY, tags=["search"])
    async def search(
        request: Request,
        id: Annotated[
            int | None, Query(ge=0, le=2**63 - 1, description="Instead of an image: a photo.")
        ] = None,
        path: Annotated[
            str | None, Query(description="Instead of an image: the path of a photo, as shown.")
        ] = None,
        code: Annotated[
            str | None, Query(description="Instead of an image: a code, hexadecimal.")
        ] = None,
        k: Annotated[int, Query(ge=1, le=settings.max_k, description="Neighbours, at most.")] = 20,
        radius: Annotated[
            int | None, Query(ge=0, le=2**16, description="Largest distance in bits, included.")
        ] = None,
        filters: Filters = [],  # noqa: B006  FastAPI's way to say that it may be missing
    ) -> SearchAnswer:
        """Neighbours of an image, or of a photo of the index, nearest first."""
        library = service.live.current
        if sum(value is not None for value in (id, path, code)) > 1:
            raise HTTPException(422, "give one of id, path and code")
        if path is not None:
            id = library.find(path)
        photo = None
        if id is not None or path is not None:
            photo = known(library, id)
            source = library.code(id)
        elif code is not None:
            source = parse_code(code, library)
        else:
            source = await upload(request, settings)
        found_code, near = await service.run(
            service.work, service.search, library, source, k, radius, filters
        )
        # Checked by FastAPI once more it would cost more than the search.
        return JSONResponse(
            {
                "model_id": library.encoder.model_id,
                "bits": library.encoder.bits,
                "photos": len(library),
                "query": {
                    "code": found_code.tobytes().hex(),
                    "photo": None if photo is None else described(library, id, photo),
                },
                "neighbours": [
                    {**described(library, hit.id, hit.photo), "distance": hit.distance}
                    for hit in near
                ],
            }
        )

    @app.post("/encode", openapi_extra=IMAGE_BODY, tags=["search"])
    async def encode(request: Request) -> Code:
        """The code of an image."""
        library = service.live.current
        content = await upload(request, settings)
        code = await service.run(service.work, service.encode, library, content)
        return Code(
            code=code.tobytes().hex(),
            bits=library.encoder.bits,
            model_id=library.encoder.model_id,
        )


def add_photos(app: FastAPI, service: Service) -> None:
    """Photos of the index, and pictures of them."""

    @app.get("/photos", tags=["photos"])
    async def photos(
        count: Annotated[int, Query(ge=1, le=200)] = 24,
        filters: Filters = [],  # noqa: B006
    ) -> list[PhotoAnswer]:
        """Some photos, at random."""
        library = service.live.current
        numbers = await service.run(service.work, library.sample, count, filters)
        return [described(library, number, library.photo(number)) for number in numbers]

    @app.get("/photos/{id}", tags=["photos"])
    async def photo(number: Number) -> PhotoAnswer:
        """A photo."""
        library = service.live.current
        return described(library, number, known(library, number))

    @app.get("/photos/{id}/thumbnail", tags=["photos"], response_class=Response)
    async def thumbnail(number: Number) -> Response:
        """Its central square, which is what the encoder sees: 320 px, or what there is."""
        library = service.live.current
        photo = known(library, number)
        return picture(
            await service.run(service.draw, service.thumbnails.draw, photo, library.roots)
        )

    @app.get("/photos/{id}/image", tags=["photos"], response_class=Response)
    async def image(number: Number) -> Response:
        """The whole picture, drawn anew: at most 2,048 px, without its metadata."""
        library = service.live.current
        photo = known(library, number)
        return picture(await service.run(service.draw, large, photo, library.roots))


def add_state(app: FastAPI, service: Service) -> None:
    """What is served, and how it fares."""

    @app.get("/healthz", tags=["state"], response_model_exclude_none=True)
    async def healthz(request: Request) -> Health:
        """Whether the service works; what it serves, for those who may know."""
        if not request.scope["state"]["known"]:
            return Health(status="ok")
        library = service.live.current
        return Health(status="ok", model_id=library.encoder.model_id, photos=len(library))

    @app.get("/about", tags=["state"])
    async def about() -> About:
        """What is served, and the limits."""
        library = service.live.current
        return About(
            version=__version__,
            model_id=library.encoder.model_id,
            bits=library.encoder.bits,
            photos=len(library),
            labels=library.labels,
            max_k=service.settings.max_k,
            max_upload=service.settings.max_upload,
            token=service.settings.token is not None,
        )

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        content, kind = service.metrics.page()
        return Response(content, media_type=kind)


def add_pages(app: FastAPI, service: Service, gate: Gate) -> None:
    """The search page, the page of the API, and the one that asks for the token."""
    pages = read_pages()

    def show(page: Page):
        async def get(request: Request) -> Response:
            headers = {"etag": page.tag, "cache-control": "no-cache"}
            if request.headers.get("if-none-match") == page.tag:
                return Response(status_code=304, headers=headers)
            return Response(page.content, media_type=page.kind, headers=headers)

        return get

    for page in pages:
        app.get(page.path, include_in_schema=False)(show(page))

    @app.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        async with asyncio.timeout(service.settings.timeout):
            form = await request.form(max_files=0, max_fields=4)
        token = form.get("token")
        if not (isinstance(token, str) and gate.is_token(token.strip())):
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            session_of(service.settings.token),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            max_age=30 * 86400,
        )
        return answer

    @app.post("/logout", include_in_schema=False)
    async def logout() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


def add_mistakes(app: FastAPI) -> None:
    """Every mistake of a client is one line of JSON."""

    def answer(status: int, message: str, headers=None) -> JSONResponse:
        headers = {"cache-control": "no-store", **(headers or {})}
        return JSONResponse({"error": message}, status, headers)

    @app.exception_handler(AnyHTTPException)
    async def http(_, error: AnyHTTPException):
        return answer(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_, error: RequestValidationError):
        first = error.errors()[0]
        return answer(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(ImageError)
    async def image(_, error: ImageError):
        return answer(422, str(error))

    @app.exception_handler(Refused)
    async def refused(_, error: Refused):
        return answer(410, str(error))

    @app.exception_handler(SsahError)
    async def other(_, error: SsahError):
        return answer(422, str(error))

    @app.exception_handler(TooLarge)
    async def large_body(request: Request, error: TooLarge):
        if error.receive is not None:
            await drain(error.receive)
        refusal = too_large(error.limit)
        return answer(refusal.status, refusal.message, {"connection": "close"})

    @app.exception_handler(Exception)
    async def bug(_, error: Exception):
        return answer(500, "an error of ours; the log of the service says more")


async def upload(request: Request, settings: Settings) -> bytes:
    """The image of a request.

    Raises:
        HTTPException: There is none, or it does not arrive in time.
    """
    try:
        async with asyncio.timeout(settings.timeout):
            return await read_upload(request)
    except TimeoutError:
        raise HTTPException(
            408, "the upload took too long", {"connection": "close", "retry-after": "1"}
        ) from None


def known(library: Library, number: int | None):
    """A photo of the index.

    Raises:
        HTTPException: 404, there is none of that number.
    """
    photo = None if number is None else library.photo(number)
    if photo is None:
        raise HTTPException(404, "no such photo in the index")
    return photo


def parse_code(text: str, library: Library) -> np.ndarray:
    """A code from hexadecimal digits, `(1, bytes)`.

    Raises:
        HTTPException: It does not fit the index.
    """
    try:
        code = np.frombuffer(bytes.fromhex(text), np.uint8)
    except ValueError:
        raise HTTPException(422, "code: not hexadecimal") from None
    if len(code) != library.index.codes.codes.shape[1]:
        raise HTTPException(422, f"code: a code of {library.encoder.bits} bits is expected")
    return code[None]


def described(library: Library, number: int, photo) -> dict:
    """What is told of a photo; the addresses change with its content, so they can be kept."""
    version = photo.digest[:12]
    return {
        "id": number,
        "path": library.name(photo),
        "labels": list(photo.labels),
        "thumbnail": f"/photos/{number}/thumbnail?v={version}",
        "image": f"/photos/{number}/image?v={version}",
    }


def picture(drawn: Sequence) -> Response:
    """A picture as an answer."""
    content, kind = drawn
    return Response(content, media_type=kind, headers={"cache-control": PICTURE_CACHE})
