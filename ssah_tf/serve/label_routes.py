"""The routes of labelling."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response

from ssah_tf.serve.label_map import descriptions, map_labels, photo_map
from ssah_tf.serve.label_state import labelling_state
from ssah_tf.serve.labelling import Labelling
from ssah_tf.serve.limits import PICTURE, limits
from ssah_tf.serve.routes import PICTURE_ANSWER, Position, picture
from ssah_tf.serve.schemas import (
    Correct,
    LabelledPhoto,
    LabellingProgress,
    LabellingState,
    Learn,
    MapLabels,
    PhotoMap,
    Said,
    Which,
)

if TYPE_CHECKING:
    from ssah_tf.serve.service import Service


def add_labelling(
    app: FastAPI, service: "Service", labelling: Labelling, duplicates: bool = False
) -> None:
    """What is said of photos, what is learnt from it, and their pictures.

    Args:
        app: Gets the routes.
        service: What it works with.
        labelling: The photos and their labels.
        duplicates: Whether the page of duplicates is there, too.
    """
    more = {"token": service.settings.token is not None, "duplicates": duplicates}

    def shown() -> dict[str, Any]:
        return {**labelling_state(labelling), **more}

    async def after(change: Callable[..., object], *arguments: object) -> dict[str, Any]:
        """The state after a change, which is on disk then."""

        def both() -> dict[str, Any]:
            change(*arguments)
            return shown()

        return await service.run(service.work, both)

    @app.get("/labelling", response_model=LabellingState, tags=["labels"])
    async def state() -> dict[str, Any]:
        """Suggested photos, the classes, and what was learnt."""
        return await service.run(service.work, shown)

    @app.get("/labelling/progress", response_model=LabellingProgress, tags=["labels"])
    async def progress() -> dict[str, Any]:
        """Whether something changed, and how far learning is."""
        revision, now = await service.run(service.work, labelling.progress)
        return {"revision": revision, "progress": vars(now)}

    @app.post("/labelling/said", response_model=LabellingState, tags=["labels"])
    async def said(body: Said) -> dict[str, Any]:
        """Say something of photos, as one step; labels are in the table when it answers."""
        return await after(labelling.change, body.photos, body.action, body.label)

    @app.post("/labelling/undo", response_model=LabellingState, tags=["labels"])
    async def undo() -> dict[str, Any]:
        """Take the last step back. Photos of which something else was said since stay."""
        return await after(labelling.undo)

    @app.post("/labelling/moved", response_model=LabellingState, tags=["labels"])
    async def moved() -> dict[str, Any]:
        """Give photos that have moved the labels that they had under their old paths."""
        return await after(labelling.take_moved)

    @app.post("/labelling/learn", response_model=LabellingState, tags=["labels"])
    async def learn(body: Learn) -> dict[str, Any]:
        """Begin to learn from the labels, and to look for the next photos."""
        return await after(labelling.learn, body.train)

    @app.post("/labelling/correct", response_model=LabellingState, tags=["labels"])
    async def correct(body: Correct) -> dict[str, Any]:
        """Show photos that are believed to be of a class, or the suggested ones again."""
        return await after(labelling.correct, body.label, body.doubtful)

    @app.post("/labelling/map", response_model=LabellingState, tags=["map"])
    async def draw_map() -> dict[str, Any]:
        """Begin to make the map of all photos, unless it is there with all of them."""
        return await after(labelling.draw_map)

    @app.get("/labelling/map", response_model=PhotoMap, tags=["map"])
    async def whole_map() -> dict[str, Any]:
        """Where each photo lies; it changes with its key alone."""
        return await service.run(service.work, photo_map, labelling)

    @app.get("/labelling/map/labels", response_model=MapLabels, tags=["map"])
    async def labels_on_map() -> dict[str, Any]:
        """What was said of which photos."""
        return await service.run(service.work, map_labels, labelling)

    @app.post("/labelling/described", response_model=list[LabelledPhoto], tags=["map"])
    async def described(body: Which) -> list[dict[str, Any]]:
        """Photos by their numbers, with what was said of them."""
        return await service.run(service.work, descriptions, labelling, body.photos)

    @app.get(
        "/labelling/photos/{id}/thumbnail",
        responses=PICTURE_ANSWER,
        tags=["labels"],
        response_class=Response,
    )
    @limits(PICTURE)
    async def thumbnail(position: Position) -> Response:
        """Its central square: 320 px, or what there is."""
        photos, where = labelling.photos, partial(labelling.photos.path_of, position)
        return picture(
            await service.of_moving(service.thumbnail, where, photos.roots, labelling.lock)
        )

    @app.get(
        "/labelling/photos/{id}/image",
        responses=PICTURE_ANSWER,
        tags=["labels"],
        response_class=Response,
    )
    @limits(PICTURE)
    async def image(position: Position) -> Response:
        """The whole picture, drawn anew: at most 2,048 px, without its metadata."""
        photos, where = labelling.photos, partial(labelling.photos.path_of, position)
        return picture(await service.of_moving(service.large, where, photos.roots, labelling.lock))
