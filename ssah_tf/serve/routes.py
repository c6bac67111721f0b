"""The routes of the service. Each carries its limits: a new one is a change in this file alone."""

import base64
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from ssah_tf.metrics.hamming import code_bytes, full_bytes
from ssah_tf.search.filters import MOST
from ssah_tf.search.photo_index import Hit, Order
from ssah_tf.serve.access import COOKIE
from ssah_tf.serve.library import Library
from ssah_tf.serve.limits import OPEN, PICTURE, SEARCH, client_of, limits
from ssah_tf.serve.middleware import Gate
from ssah_tf.serve.pages import Page
from ssah_tf.serve.pictures import media_type
from ssah_tf.serve.schemas import About, Code, Health, Mistake, PhotoAnswer, SearchAnswer
from ssah_tf.serve.upload import read_upload
from ssah_tf.system.text import printable
from ssah_tf.version import __version__

if TYPE_CHECKING:
    from ssah_tf.serve.app import SearchService
    from ssah_tf.serve.service import Service

#: How long a browser keeps a picture; its address changes with its content.
PICTURE_CACHE = "private, max-age=86400"

#: What the OpenAPI description says of the body of a request with an image.
BINARY = {"schema": {"type": "string", "format": "binary"}}
IMAGE_BODY = {
    "requestBody": {
        "content": {
            "image/*": BINARY,
            "application/octet-stream": BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": BINARY["schema"]},
                    "required": ["image"],
                }
            },
        }
    }
}
IMAGE_NEEDED = {"requestBody": {**IMAGE_BODY["requestBody"], "required": True}}
#: What it says of a picture in an answer.
PICTURE_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {"image/jpeg": BINARY, "image/png": BINARY},
    },
    304: {"description": "The client has it, as its `If-None-Match` says."},
    410: {"model": Mistake, "description": "The file is gone, or is no image any more."},
}

Filters = Annotated[
    list[str],
    Query(
        alias="filter",
        max_length=MOST,
        description='`label=NAME`, `label=NAME|NAME`, `label="A|B"` (one name), `path=WORD`, '
        "`path=PATTERN`, `folder=PATH` or `date>=2024-05-31` (also `<=`, `>`, `<`, `=`, and months "
        "or years); all must be met.",
    ),
]
Number = Annotated[int, Path(alias="id", ge=0, le=2**63 - 1, description="Number of a photo.")]
Position = Annotated[int, Path(alias="id", ge=0, le=2**31, description="Number of a photo.")]


def add_search(app: FastAPI, service: "SearchService") -> None:
    """Search and encode."""
    settings, root = service.settings, service.settings.root_path

    @app.post("/search", response_model=SearchAnswer, openapi_extra=IMAGE_BODY, tags=["search"])
    @limits(SEARCH)
    async def search(
        request: Request,
        id: Annotated[
            int | None, Query(ge=0, le=2**63 - 1, description="Instead of an image: a photo.")
        ] = None,
        path: Annotated[
            str | None, Query(description="Instead of an image: the path of a photo, as shown.")
        ] = None,
        code: Annotated[
            str | None,
            Query(
                description="Instead of an image: a code, hexadecimal; with its appearance code "
                "behind it photos of one distance are in the order of appearance."
            ),
        ] = None,
        model_id: Annotated[
            str | None,
            Query(
                max_length=200,
                description="The encoder that a code is of: if the index has another one, 409.",
            ),
        ] = None,
        label_like: Annotated[
            str | None,
            Query(
                max_length=200,
                description="Instead of an image: a word, or the start of one, in the name of a "
                "label. Found are the photos without a label, unless a filter names labels, that "
                "are most like those with it. Of several labels `query.labels` has all; a whole "
                "name is searched for itself.",
            ),
        ] = None,
        k: Annotated[int, Query(ge=1, le=settings.max_k, description="Neighbours, at most.")] = 20,
        radius: Annotated[
            int | None, Query(ge=0, le=2**16, description="Largest distance in bits, included.")
        ] = None,
        filters: Filters = [],  # noqa: B006  FastAPI's way to say that it may be missing
        order: Annotated[
            Order, Query(description="Of photos of one distance: by appearance and id, or by id.")
        ] = "appearance",
        preview: Annotated[
            bool, Query(description="Whether the answer is to have the image as a picture, too.")
        ] = False,
    ) -> JSONResponse:
        """Neighbours of an image, of a photo of the index, or of a label, nearest first."""
        library = service.live.current
        if sum(value is not None for value in (id, path, code, label_like)) > 1:
            raise HTTPException(422, "give one of id, path, code and label_like")
        if model_id is not None and code is None:
            raise HTTPException(422, "model_id: says whose a code is, and there is no code")
        if model_id not in (None, library.encoder.model_id):
            raise HTTPException(
                409,
                f"the code is of model {printable(model_id)}, the index of "
                f"{library.encoder.model_id}: encode the image anew",
            )
        source: np.ndarray
        labels: list[str] = []
        photo, where, upload = None, filters, None
        if id is not None or path is not None:
            if path is not None:
                id = await service.run(service.work, library.find, path)
            photo = known(library, id)
            source = library.code(photo.id)
        elif code is not None:
            source = parse_code(code, library)
        elif label_like is not None:
            labels, source, where = await service.run(
                service.work, library.like, label_like, filters
            )
        else:
            upload = await service.decode(library, await read_upload(request), preview)
            source = upload.pixels
        found_code, hits = await service.run(
            service.work, service.search, library, source, k, radius, where, order
        )
        own, appearance = in_words(library, found_code)
        # Checked by FastAPI once more it would cost more than the search.
        return JSONResponse(
            {
                "model_id": library.encoder.model_id,
                "bits": library.encoder.bits,
                "photos": len(library),
                "query": {
                    "code": own,
                    "appearance": appearance,
                    "photo": None if photo is None else described(library, photo, root),
                    "labels": labels,
                    "damaged": upload.damaged if upload else "",
                    "preview": as_data(upload.preview) if upload else "",
                },
                "neighbours": [
                    {**described(library, hit, root), "distance": hit.distance} for hit in hits
                ],
            }
        )

    @app.post("/encode", openapi_extra=IMAGE_NEEDED, tags=["search"])
    @limits(SEARCH)
    async def encode(request: Request) -> Code:
        """The code of an image."""
        library = service.live.current
        upload = await service.decode(library, await read_upload(request))
        code = await service.run(service.work, service.encode, library, upload.pixels)
        own, appearance = in_words(library, code)
        return Code(
            code=own,
            appearance=appearance,
            bits=library.encoder.bits,
            model_id=library.encoder.model_id,
        )


def add_photos(app: FastAPI, service: "SearchService") -> None:
    """A photo of the index, and pictures of it."""
    root = service.settings.root_path

    @app.get("/photos/{id}", response_model=PhotoAnswer, tags=["photos"])
    @limits(PICTURE)
    async def photo(number: Number) -> dict[str, Any]:
        """A photo."""
        library = service.live.current
        return described(library, known(library, number), root)

    @app.get(
        "/photos/{id}/thumbnail", responses=PICTURE_ANSWER, tags=["photos"], response_class=Response
    )
    @limits(PICTURE)
    async def thumbnail(number: Number) -> Response:
        """Its central square, which is what the encoder sees: 320 px, or what there is."""
        library = service.live.current
        photo = known(library, number).photo
        was = (photo.size, photo.mtime_ns), photo.digest
        return picture(await service.thumbnail(photo.path, library.roots, was))

    @app.get(
        "/photos/{id}/image", responses=PICTURE_ANSWER, tags=["photos"], response_class=Response
    )
    @limits(PICTURE)
    async def image(number: Number) -> Response:
        """The whole picture, drawn anew: at most 2,048 px, without its metadata."""
        library = service.live.current
        path = known(library, number).photo.path
        return picture(await service.large(path, library.roots))


def add_state(app: FastAPI, service: "SearchService") -> None:
    """What is served, and how it fares."""

    @app.get("/healthz", tags=["state"], response_model_exclude_none=True)
    @limits(OPEN)
    async def healthz(request: Request) -> Health:
        """Whether the service works; what it serves, for those who may know."""
        if not request.scope["state"]["known"]:
            return Health(status="ok")
        library = service.live.current
        return Health(
            status="ok",
            model_id=library.encoder.model_id,
            photos=len(library),
            missing=len(library.index.missing),
        )

    @app.get("/about", tags=["state"])
    async def about() -> About:
        """What is served, and the limits."""
        library = service.live.current
        return About(
            version=__version__,
            model_id=library.encoder.model_id,
            bits=library.encoder.bits,
            appearance_bits=library.encoder.appearance_bits,
            photos=len(library),
            missing=len(library.index.missing),
            labels=library.labels,
            max_k=service.settings.max_k,
            max_upload=service.settings.max_upload,
            token=service.settings.token is not None,
            originals=service.settings.originals,
            show_place=service.settings.show_place,
            encode_in_browser=service.encode_in_browser,
        )


def add_encoder(app: FastAPI, service: "SearchService") -> None:
    """The encoder itself."""

    answer = {"description": "The file.", "content": {"application/octet-stream": BINARY}}

    @app.get("/encoder", responses={200: answer}, tags=["search"], response_class=Response)
    @limits(PICTURE)
    async def encoder() -> Response:
        """The ONNX file of the encoder, for programs that code pictures themselves."""
        content = await service.run(service.files, service.live.encoder_file)
        kind = "application/octet-stream"
        return Response(content, media_type=kind, headers={"cache-control": "private, no-cache"})


def add_health(app: FastAPI, photos: Callable[[], int]) -> None:
    """Whether a service of a page works.

    Args:
        app: The service.
        photos: How many photos it shows.
    """

    @app.get("/healthz", tags=["state"], response_model_exclude_none=True)
    @limits(OPEN)
    async def healthz(request: Request) -> Health:
        """Whether the service works; how many photos it shows, for those who may know."""
        return Health(status="ok", photos=photos() if request.scope["state"]["known"] else None)


def add_metrics(app: FastAPI, service: "Service") -> None:
    """How a service fares."""

    text = {
        "description": "The counters.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }

    @app.get("/metrics", responses={200: text}, tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        content, kind = service.metrics.page()
        return Response(content, media_type=kind)


def add_pages(app: FastAPI, service: "Service", gate: Gate, pages: Sequence[Page]) -> None:
    """The pages, and the one that asks for the token."""

    def show(page: Page) -> Callable[[], Awaitable[Response]]:
        @limits(page.limits)
        async def get() -> Response:
            headers = {"cache-control": "no-cache", "content-security-policy": page.policy}
            return Response(page.content, media_type=page.kind, headers=headers)

        return get

    asked_for = {page.path for page in pages if page.limits.login}
    for page in pages:
        app.get(page.path, include_in_schema=False)(show(page))

    root, session = service.settings.root_path, gate.access.session

    @app.post("/login", include_in_schema=False)
    @limits(OPEN)
    async def login(request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=4)
        shown = form.get("token")
        onward = page_asked_for(request.query_params.get("next", ""), asked_for)
        if session is None or not (isinstance(shown, str) and gate.access.is_token(shown.strip())):
            why = "paced" if gate.access.wait(client_of(request.scope)) else "wrong"
            more = f"&next={quote(onward)}" if onward else ""
            return RedirectResponse(f"{root}/login?{why}{more}", 303)
        answer = RedirectResponse(f"{root}/{onward}", 303)
        answer.set_cookie(
            COOKIE,
            session,
            path=root or "/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            max_age=30 * 86400,
        )
        return answer

    @app.post("/logout", include_in_schema=False)
    async def logout() -> Response:
        answer = RedirectResponse(f"{root}/login", 303)
        answer.delete_cookie(COOKIE, path=root or "/", httponly=True, samesite="strict")
        return answer


def page_asked_for(text: str, pages: Collection[str]) -> str:
    """Where to go with the token: a page of ours, whatever its address asks for.

    Args:
        text: Such as `?id=7` or `docs`, which a stranger may have written.
        pages: The paths of the pages.

    Returns:
        The text, or "" for the first page.
    """
    return text if "/" + text.partition("?")[0] in pages else ""


def known(library: Library, number: int | None) -> Hit:
    """A photo of the index.

    Raises:
        HTTPException: 404, there is none of that number.
    """
    photo = None if number is None else library.photo(number)
    if number is None or photo is None:
        raise HTTPException(404, "no such photo in the index")
    return Hit(number, photo, 0)


def parse_code(text: str, library: Library) -> np.ndarray:
    """A code from hexadecimal digits, `(1, bytes)`.

    Raises:
        HTTPException: It does not fit the index.
    """
    try:
        code = np.frombuffer(bytes.fromhex(text), np.uint8)
    except ValueError:
        raise HTTPException(422, "code: not hexadecimal") from None
    encoder = library.encoder
    widths = code_bytes(encoder.bits), full_bytes(encoder.bits, encoder.appearance_bits)
    if len(code) not in widths:
        raise HTTPException(422, f"code: a code of {library.encoder.bits} bits is expected")
    return code[None]


def in_words(library: Library, code: np.ndarray) -> tuple[str, str]:
    """The code of a full code `(1, bytes)` and its appearance code, hexadecimal."""
    text, digits = code.tobytes().hex(), 2 * code_bytes(library.encoder.bits)
    return text[:digits], text[digits:]


def described(library: Library, hit: Hit, root: str) -> dict[str, Any]:
    """What is told of a photo; the addresses change with its content, so they can be kept."""
    version = hit.photo.digest[:12]
    return {
        "id": hit.id,
        "path": library.name(hit.photo),
        "labels": list(hit.photo.labels),
        "taken": hit.photo.taken,
        "taken_from": hit.photo.taken_from,
        "camera": hit.photo.camera,
        "second_pictures": hit.photo.second_pictures,
        "thumbnail": f"{root}/photos/{hit.id}/thumbnail?v={version}",
        "image": f"{root}/photos/{hit.id}/image?v={version}",
    }


def as_data(picture: bytes) -> str:
    """A picture as an address that holds it; "" for none."""
    text = base64.b64encode(picture).decode()
    return f"data:{media_type(picture)};base64,{text}" if picture else ""


def picture(content: bytes) -> Response:
    """A picture as an answer."""
    kind = media_type(content)
    return Response(content, media_type=kind, headers={"cache-control": PICTURE_CACHE})
