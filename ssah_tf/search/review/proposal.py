"""Which photos of a group to keep: a proposal by rules."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self, get_args

from ssah_tf.data.capture_time import Dated, dated
from ssah_tf.data.open_picture import open_picture
from ssah_tf.search.duplicates import Member
from ssah_tf.search.photo_table import Photo

#: What makes a photo the one to keep: most pixels; taken first; most labels.
Rule = Literal["largest", "oldest", "labels"]


@dataclass(frozen=True)
class Rules:
    """How to choose the photo to keep.

    Attributes:
        prefer: A photo in this folder comes before all others; "" for none.
        first: What counts then; the other rules break ties.
    """

    prefer: str = ""
    first: Rule = "largest"

    def order(self) -> tuple[Rule, ...]:
        """The rules, the one that counts most first."""
        rules: tuple[Rule, ...] = get_args(Rule)
        return (self.first, *(rule for rule in rules if rule != self.first))


@dataclass(frozen=True)
class Facts:
    """What a file says of its picture.

    Attributes:
        size: Width and height, pixels; zeros if it cannot be read.
        dated: When it is from.
    """

    size: tuple[int, int]
    dated: Dated

    @classmethod
    def of(cls, photo: Photo) -> Self:
        """Read them."""
        return cls(picture_size(photo.path), dated(photo.path, photo.mtime_ns))


def propose(
    group: Sequence[Member],
    rules: Rules,
    labels: Callable[[Photo], Sequence[str]],
    facts: Callable[[Photo], Facts],
) -> set[int]:
    """The places in a group of the photos to keep.

    Of photos that show the same it is one: never a link, if there is a real file. Photos of a burst
    are pictures of their own, and all of them are kept.

    Args:
        group: Photos that show the same, or are of one burst.
        rules: How to choose.
        labels: Gives the labels of a photo.
        facts: Gives what its file says.
    """
    inside = os.path.join(rules.prefer, "") if rules.prefer else "\0"

    def worth(place: int) -> tuple[float, ...]:
        photo = group[place].photo
        known = facts(photo)
        width, height = known.size
        by: dict[Rule, tuple[float, ...]] = {
            "largest": (width * height, photo.size),
            # Copies are taken at one time: then the file that was changed first.
            "oldest": (-(known.dated.at - datetime.min).total_seconds(), -photo.mtime_ns),
            "labels": (len(labels(photo)),),
        }
        real = not os.path.islink(photo.path)
        ruled = (number for rule in rules.order() for number in by[rule])
        return (real, photo.path.startswith(inside), *ruled, -place)

    of_burst = {place for place, member in enumerate(group) if member.kind == "burst"}
    return of_burst | {max((p for p in range(len(group)) if p not in of_burst), key=worth)}


def picture_size(path: str) -> tuple[int, int]:
    """Width and height of a picture as its file says, pixels; zeros if it cannot be read."""
    try:
        with open_picture(path) as image:
            return image.size
    except Exception:  # of Pillow's decoders on a damaged file, almost any
        return 0, 0
