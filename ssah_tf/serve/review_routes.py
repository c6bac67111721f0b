"""The routes of a review of duplicates."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Response

from ssah_tf.serve.limits import PICTURE, limits
from ssah_tf.serve.review import Review
from ssah_tf.serve.review_schemas import Choose, KeepAll, Nothing, ReviewState, SetAsideGroup
from ssah_tf.serve.routes import PICTURE_ANSWER, Position, picture

if TYPE_CHECKING:
    from ssah_tf.serve.service import Service


#: A change of a review, and the group to show afterwards.
Decision = Callable[[Review], tuple[int | None, list[str]]]


def add_review(app: FastAPI, service: "Service", find: Callable[[], Review]) -> None:
    """Groups, what is decided of them, and their pictures.

    Args:
        app: Gets the routes.
        service: What it works with.
        find: Gives the review; see `Later`.
    """

    async def after(decide: Decision) -> dict[str, Any]:
        """The state after a change, which is on disk then."""

        def both() -> dict[str, Any]:
            review = find()
            state = review.state(*decide(review))
            return {**state, "token": service.settings.token is not None}

        return await service.run(service.work, both)

    @app.get("/duplicates", response_model=ReviewState, tags=["duplicates"])
    async def state(
        group: Annotated[int | None, Query(ge=0, description="The group to show.")] = None,
    ) -> dict[str, Any]:
        """A group, and how far the review is."""
        return await after(lambda _: (group, []))

    @app.post("/duplicates/set-aside", response_model=ReviewState, tags=["duplicates"])
    async def set_aside(body: SetAsideGroup) -> dict[str, Any]:
        """Keep some photos of a group and move the others to the folder; they are there when it
        answers, and labels are with those that stay."""
        return await after(
            lambda review: (body.group, review.set_aside(body.group, set(body.keep)))
        )

    @app.post("/duplicates/keep-all", response_model=ReviewState, tags=["duplicates"])
    async def keep_all(body: KeepAll) -> dict[str, Any]:
        """Keep a group as it is; it does not come back."""
        return await after(lambda review: (body.group, review.keep_all(body.group)))

    @app.post("/duplicates/undo", response_model=ReviewState, tags=["duplicates"])
    async def undo(body: Nothing) -> dict[str, Any]:
        """Take the last step back; the group that it was about is shown."""
        return await after(lambda review: (review.last_group(), review.undo()))

    @app.post("/duplicates/rules", response_model=ReviewState, tags=["duplicates"])
    async def rules(body: Choose) -> dict[str, Any]:
        """Propose by other rules what to keep."""
        return await after(lambda review: (body.group, review.choose(body.first, body.prefer)))

    @app.get(
        "/duplicates/photos/{id}/image",
        responses=PICTURE_ANSWER,
        tags=["duplicates"],
        response_class=Response,
    )
    @limits(PICTURE)
    async def image(position: Position) -> Response:
        """The whole picture, drawn anew: at most 2,048 px, without its metadata."""
        review = find()
        where = partial(review.path_of, position)
        return picture(await service.of_moving(service.large, where, review.roots, review.lock))
