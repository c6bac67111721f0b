"""What the images of a split were: content and labels, so that a change is noticed and named."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ssah_tf.data.image_set import ImageSet
from ssah_tf.system.errors import DataError

#: Hexadecimal digits of a content that are kept: half of a SHA-256.
DIGITS = 32


@dataclass(frozen=True)
class Contents:
    """Digest and labels of images by their ids.

    Attributes:
        name: Name of the image set.
        classes: Class names, in the order of their numbers.
        digests: Id -> the first `DIGITS` hexadecimal digits of its SHA-256.
        labels: Id -> numbers of its classes, none for an image without a label.
    """

    name: str
    classes: tuple[str, ...]
    digests: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, tuple[int, ...]] = field(repr=False)

    @classmethod
    def of(cls, images: ImageSet) -> "Contents":
        """What a set holds."""
        return cls(
            images.name,
            images.classes,
            {
                name: digest[:DIGITS]
                for name, digest in zip(images.ids, images.digests, strict=True)
            },
            dict(zip(images.ids, numbers(images.labels), strict=True)),
        )

    def image_set(self, ids: Sequence[str]) -> ImageSet:
        """Images as they were, without their pixels."""
        labels = np.zeros((len(ids), len(self.classes)), np.uint8)
        for row, name in enumerate(ids):
            labels[row, list(self.labels[name])] = 1
        digests = tuple(self.digests[name] for name in ids)
        return ImageSet(self.name, tuple(ids), labels, self.classes, digests)

    def of_image(self, name: str) -> tuple[str, str] | None:
        """Digest and label of an image, `None` if it is none of these."""
        return (self.digests[name], self.label(name)) if name in self.digests else None

    def label(self, name: str) -> str:
        """The label of an image in words."""
        return in_words(self.classes[i] for i in self.labels[name])

    def check(self, images: ImageSet, ids: Sequence[str]) -> None:
        """Refuse images whose content or labels are not what they were.

        Args:
            images: An image set.
            ids: Images of it to look at.

        Raises:
            DataError: One has changed; the message names the first.
        """
        if images.classes != self.classes:
            other = sorted(set(images.classes) ^ set(self.classes)) or list(images.classes)
            raise DataError(
                f"the classes are not those of the split, for example {other[0]!r}; "
                "to learn other classes begin a new run"
            )
        for name, position in zip(ids, images.positions(tuple(ids)), strict=True):
            if not images.digests[position].startswith(self.digests[name]):
                raise DataError(f"image {name!r} has another content than when the split was drawn")
            if tuple(np.flatnonzero(images.labels[position])) != self.labels[name]:
                now = in_words(images.classes[i] for i in np.flatnonzero(images.labels[position]))
                raise DataError(
                    f"label of {name!r}: {self.label(name)} when the split was drawn, {now} now"
                )

    def to_json(self, ids: Sequence[str]) -> dict[str, Any]:
        """Columns in the order of `ids`."""
        return {
            "name": self.name,
            "classes": self.classes,
            "digests": "".join(self.digests[name] for name in ids),
            "labels": [self.labels[name] for name in ids],
        }

    @classmethod
    def from_json(cls, values: Any, ids: Sequence[str]) -> "Contents":
        """Read what `to_json` made.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(values, dict) or set(values) != {"name", "classes", "digests", "labels"}:
            raise ValueError("expected name, classes, digests and labels of the images")
        name, classes, digests, labels = (
            values[key] for key in ("name", "classes", "digests", "labels")
        )
        texts = [name, digests, *(classes if isinstance(classes, list) else [None])]
        if not all(isinstance(text, str) for text in texts) or len(set(classes)) < len(classes):
            raise ValueError("expected texts for name, classes and digests")
        if len(digests) != DIGITS * len(ids) or not set(digests) <= set(string.hexdigits):
            raise ValueError(f"expected {len(ids)} digests")
        if not isinstance(labels, list) or len(labels) != len(ids):
            raise ValueError(f"expected labels of {len(ids)} images")
        valid = range(len(classes))
        for row in labels:
            if not isinstance(row, list) or not all(type(i) is int and i in valid for i in row):
                raise ValueError("expected numbers of classes as labels")
        parts = (digests[i : i + DIGITS] for i in range(0, len(digests), DIGITS))
        return cls(
            name,
            tuple(classes),
            dict(zip(ids, parts, strict=True)),
            dict(zip(ids, map(tuple, labels), strict=True)),
        )


def numbers(labels: np.ndarray) -> list[tuple[int, ...]]:
    """Multi-hot labels `(n, classes)` as the numbers of the classes."""
    rows, columns = np.nonzero(labels)
    parts = np.split(columns, np.searchsorted(rows, np.arange(1, len(labels))))
    return [tuple(part.tolist()) for part in parts]


def in_words(names: Any) -> str:
    """Class names as they stand in a sentence."""
    return " and ".join(repr(name) for name in names) or "none"
