"""The services: search in an index, labelling of photos, and review of duplicates."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from fastapi import FastAPI

from ssah_tf.search.photo_index import Hit, Order
from ssah_tf.serve.browse_routes import add_browsing
from ssah_tf.serve.decoders import Upload
from ssah_tf.serve.library import Library, LiveLibrary
from ssah_tf.serve.middleware import Gate
from ssah_tf.serve.pages import (
    LABEL_AND_REVIEW_PAGES,
    LABEL_PAGES,
    REVIEW_PAGES,
    SEARCH_PAGES,
    Page,
    read_pages,
    with_coding,
)
from ssah_tf.serve.routes import (
    add_encoder,
    add_health,
    add_metrics,
    add_pages,
    add_photos,
    add_search,
    add_state,
)
from ssah_tf.serve.service import Service
from ssah_tf.serve.settings import Settings

if TYPE_CHECKING:
    from ssah_tf.serve.labelling import Labelling
    from ssah_tf.serve.review import Review

DESCRIPTION = """Finds the photos of an index that are most like a picture, or those of a label.

An image is sent as the body (`curl --data-binary @cat.jpg`) or as the field `image` of a form."""

log = logging.getLogger("uvicorn.error")


class SearchService(Service):
    """What the routes of a search share.

    Attributes:
        live: The `LiveLibrary`.
        encode_in_browser: Whether the page codes pictures itself.
    """

    def __init__(self, live: LiveLibrary, settings: Settings, encode_in_browser: bool):
        super().__init__(settings)
        self.live = live
        self.encode_in_browser = encode_in_browser
        for name, text, value in (
            ("ssah_photos", "Photos in the index", lambda: len(live.current)),
            ("ssah_index_reloads", "Times the index was exchanged", lambda: live.reloads),
            (
                "ssah_index_stale",
                "1 if the index that is saved now cannot be read, and an older state is served",
                lambda: int(bool(live.error)),
            ),
        ):
            self.metrics.gauge(name, text, value)

    async def decode(self, library: Library, content: bytes, preview: bool = False) -> Upload:
        """What the encoder sees of an uploaded image; see `Decoders.pixels`.

        Raises:
            SsahError: See `Decoders.pixels`.
        """
        size = library.encoder.image_size
        upload = await self.decoders.pixels(
            content, size, "the image", self.settings.max_pixels, preview
        )
        self.metrics.work.labels("decode").observe(upload.seconds)
        return upload

    def encode(self, library: Library, pixels: np.ndarray) -> np.ndarray:
        """The full code of an image that is decoded, `(1, bytes)`."""
        with self.metrics.work.labels("encode").time():
            return library.encoder.full_codes(pixels[None])

    def search(
        self,
        library: Library,
        source: np.ndarray,
        k: int,
        radius: int | None,
        filters: Sequence[str],
        order: Order,
    ) -> tuple[np.ndarray, list[Hit]]:
        """The full code of an image `(size, size, 3)`, or a code as it is, and its neighbours."""
        code = self.encode(library, source) if source.ndim == 3 else source
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


def make_app(
    live: LiveLibrary, settings: Settings, coding: Mapping[str, bytes] | None = None
) -> Gate:
    """The service of a search as an ASGI application.

    Args:
        live: The index.
        settings: The limits.
        coding: What the page loads to code pictures itself, see `with_coding`; `None` if it sends
            them.
    """
    service = SearchService(live, settings, coding is not None)
    app = service.make("ssah serve", DESCRIPTION, service.watch if settings.watch else None)
    add_search(app, service)
    add_browsing(app, service)
    add_photos(app, service)
    add_state(app, service)
    pages = read_pages(SEARCH_PAGES)
    if coding is not None:
        add_encoder(app, service)
        pages = with_coding(pages, coding)
    return gated(app, service, pages)


def make_label_app(
    labelling: "Labelling", settings: Settings, review: "Callable[[], Review] | None" = None
) -> Gate:
    """The service of labelling as an ASGI application.

    Args:
        labelling: The photos and their labels.
        settings: The limits.
        review: Gives the duplicates among them, for a page of their own; see `Later`.
    """
    from ssah_tf.serve.label_routes import add_labelling

    service = Service(settings)
    service.metrics.gauge("ssah_photos", "Photos in the folder", lambda: len(labelling))
    app = service.make("ssah label", "Gives photos labels.")
    add_labelling(app, service, labelling, duplicates=review is not None)
    add_health(app, lambda: len(labelling))
    if review is None:
        return gated(app, service, read_pages(LABEL_PAGES))
    from ssah_tf.serve.review_routes import add_review

    add_review(app, service, review)
    return gated(app, service, read_pages(LABEL_AND_REVIEW_PAGES))


def make_review_app(review: "Review", settings: Settings) -> Gate:
    """The service of a review of duplicates as an ASGI application.

    Args:
        review: The groups.
        settings: The limits.
    """
    from ssah_tf.serve.review_routes import add_review

    service = Service(settings)
    service.metrics.gauge("ssah_groups", "Groups of duplicates", lambda: len(review))
    app = service.make("ssah duplicates", "Reviews groups of near duplicates.")
    add_review(app, service, lambda: review)
    add_health(app, lambda: len(review.photos))
    return gated(app, service, read_pages(REVIEW_PAGES))


def gated(app: FastAPI, service: Service, pages: Sequence[Page]) -> Gate:
    """A service with its metrics and pages, behind the gate.

    Args:
        app: It has all its other routes.
        service: What it works with.
        pages: What people see.
    """
    add_metrics(app, service)
    gate = Gate(app, service.settings, service.metrics)
    add_pages(app, service, gate, pages)
    return gate
