"""The shapes of what a review of duplicates answers, for its description."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ssah_tf.search.review.proposal import Rule


class SetAsideGroup(BaseModel):
    """What to keep of a group; the rest is set aside."""

    group: int = Field(ge=0, description="Its number.")
    keep: list[int] = Field(max_length=100_000, description="Numbers of the photos that stay.")


class KeepAll(BaseModel):
    """A group that is kept as it is."""

    group: int = Field(ge=0, description="Its number.")


class Choose(BaseModel):
    """By which rules to propose what to keep."""

    first: Rule = Field(description="What counts most.")
    prefer: str = Field("", max_length=5000, description="A folder of `folders`, or none.")
    group: int | None = Field(None, description="The group to show then.")


class Nothing(BaseModel):
    """A request without words."""


class DuplicatePhoto(BaseModel):
    """A photo of a group."""

    id: int
    path: str = Field(description="Relative to the folder that was indexed.")
    kind: str = Field(description="See `search.duplicates.Member`.")
    distance: int = Field(description="Bits between its code and that of the first.")
    ssim: float = Field(description="How alike it is to the first, 1 for the same.")
    bytes: int
    width: int = Field(description="Pixels; 0 if the file cannot be read.")
    height: int
    date: datetime = Field(description="When the picture is from, without a time zone.")
    dated_by: Literal["camera", "file"] = Field(
        description="Whether the camera says so, or only the time of the file's last change."
    )
    labels: list[str]
    beside: list[str] = Field(description="Files that go along, by name.")
    link: bool = Field(description="A link is never set aside, and counts for nothing that stays.")
    keep: bool = Field(description="Whether it is proposed to stay, or has stayed.")
    image: str = Field(description="Address of the picture.")


class DuplicateGroup(BaseModel):
    """Photos that show the same."""

    number: int
    status: str = Field(description='`aside`, `kept`, or "" if nothing was decided.')
    photos: list[DuplicatePhoto]


class ReviewState(BaseModel):
    """What a page of duplicates shows."""

    groups: int = Field(description="That are open, or were decided since the start.")
    open: int = Field(description="Groups of which nothing was decided.")
    remembered: int = Field(description="Groups that were kept as they are before, not shown.")
    set_aside: int = Field(description="Photos in the folder, from earlier times, too.")
    folder: str = Field(description='Where photos are set aside; "" if that is off.')
    steps: int = Field(description="That can be undone.")
    first: Rule
    prefer: str
    folders: list[str] = Field(description="Folders that can be preferred.")
    place: int = Field(description="Of the shown group among the groups, from 0.")
    previous: int | None = Field(description="Number of the group before it.")
    next: int | None
    next_open: int | None = Field(description="The next group of which nothing was decided.")
    group: DuplicateGroup | None
    said: list[str] = Field(description="What there is to say of the last step.")
    lost: str = Field(description='What is not as it was indexed, and in no group; "" if all is.')
    token: bool = Field(description="Whether a token is needed.")
