"""Routes of browsing: photos by date and folder; where that is allowed, originals and places."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Response

from ssah_tf.data.exif import place, read_exif
from ssah_tf.search.photo_table import Photo
from ssah_tf.serve.browsing import Browse
from ssah_tf.serve.library import Library
from ssah_tf.serve.limits import PICTURE, SEARCH, Limits, limits
from ssah_tf.serve.originals import as_answer, checked_copy
from ssah_tf.serve.pictures import open_inside
from ssah_tf.serve.routes import Filters, Number, described, known
from ssah_tf.serve.schemas import FolderAnswer, MonthAnswer, PhotoAnswer, Place

if TYPE_CHECKING:
    from ssah_tf.serve.app import SearchService

#: An original is read as a whole before it is sent.
ORIGINAL = Limits(cost=1.0, queue="original")


def add_browsing(app: FastAPI, service: "SearchService") -> None:
    """Photos without a search; a filter costs as much as one."""
    root = service.settings.root_path

    @app.get("/photos", response_model=list[PhotoAnswer], tags=["photos"])
    @limits(SEARCH)
    async def photos(
        count: Annotated[int, Query(ge=1, le=200)] = 24,
        order: Annotated[
            Browse, Query(description="By the date on which they were taken, or at random.")
        ] = "random",
        after: Annotated[
            int | None,
            Query(ge=0, le=2**63 - 1, description="The photo that came last: those behind it."),
        ] = None,
        filters: Filters = [],  # noqa: B006
    ) -> list[dict[str, Any]]:
        """Some photos: the newest, the oldest, or any."""
        library = service.live.current
        if after is not None:
            known(library, after)
        ids = await service.run(service.work, library.browsing.page, order, filters, count, after)
        return [described(library, known(library, number), root) for number in ids]

    @app.get("/months", response_model=list[MonthAnswer], tags=["photos"])
    @limits(SEARCH)
    async def months(filters: Filters = []) -> list[dict[str, Any]]:  # noqa: B006
        """How many photos were taken in each month, the newest first."""
        library = service.live.current
        found = await service.run(service.work, library.browsing.months, filters)
        return [{"month": month, "photos": count} for month, count in found.items()]

    @app.get("/folders", response_model=list[FolderAnswer], tags=["photos"])
    @limits(SEARCH)
    async def folders(filters: Filters = []) -> list[dict[str, Any]]:  # noqa: B006
        """The folders that hold photos, by name, each with its newest photo."""
        library = service.live.current
        found = await service.run(service.work, library.browsing.folders, filters)
        return [
            {
                "folder": name,
                "photos": count,
                "cover": described(library, known(library, cover), root),
            }
            for name, (count, cover) in found.items()
        ]

    if service.settings.originals:
        add_originals(app, service)
    if service.settings.show_place:
        add_place(app, service)


def add_originals(app: FastAPI, service: "SearchService") -> None:
    """The files themselves."""

    @app.get("/photos/{id}/original", tags=["photos"], response_class=Response)
    @limits(ORIGINAL)
    async def original(
        number: Number,
        show: Annotated[
            bool, Query(description="Have a browser show it, if it can, and not keep it.")
        ] = False,
    ) -> Response:
        """The file itself with its metadata, if its content is that which was indexed."""
        library = service.live.current
        photo = known(library, number).photo
        copy = await service.run(service.files, checked_copy, photo, library.roots)
        return as_answer(copy, photo, show)


def add_place(app: FastAPI, service: "SearchService") -> None:
    """Where a photo was taken."""

    @app.get("/photos/{id}/place", tags=["photos"])
    @limits(PICTURE)
    async def where(number: Number) -> Place:
        """Where it was taken, read from its file now; `null` if that does not say."""
        library = service.live.current
        photo = known(library, number).photo
        found = await service.run(service.files, place_of, library, photo)
        return Place(latitude=found and found[0], longitude=found and found[1])


def place_of(library: Library, photo: Photo) -> tuple[float, float] | None:
    """Latitude and longitude of a photo, in degrees.

    Raises:
        Refused: Its file is gone, or lies elsewhere.
    """
    with open_inside(photo.path, library.roots) as stream:
        return place(read_exif(stream))
