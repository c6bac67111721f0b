"""What the page of labelling and the process that learns tell each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes:
        labels: Position of a photo -> its classes, of the labelled ones.
        passed: Positions of photos that are not to be suggested: something else was said of them.
        train: Whether to train and measure; or else only to suggest.
        rejected: Position of a photo -> classes that it is not of, of those without a label.
        measured: What the trainings until now were measured with, the newest last.
        aside: Positions of photos whose files are set aside: they are not suggested.
        lay_out: Whether only the map is wanted.
        known: How many photos the page knows; `None` for all.
    """

    labels: Mapping[int, tuple[str, ...]]
    passed: tuple[int, ...]
    train: bool
    rejected: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    measured: Sequence[Mapping[str, Any]] = ()
    aside: tuple[int, ...] = ()
    lay_out: bool = False
    known: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far a task is.

    Attributes:
        what: Its part, as people call it; "" if there is no task.
        done: How much of it is done, of `total`.
        total: 0 if that is not known.
    """

    what: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Layout:
    """A map of all photos.

    Attributes:
        key: Another one: it is another map.
        places: Where each photo lies, float32 `(photos, 2)`, from 0 to 1.
        clusters: Number of the cluster of each photo, int64 `(photos,)`.
        examples: Position of a photo that stands for each cluster, int64 `(clusters,)`.
    """

    key: str
    places: np.ndarray
    clusters: np.ndarray
    examples: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What a task came to.

    Attributes:
        groups: Positions of photos to label next, alike ones together; `None` if only the map was
            wanted.
        measured: What the training was measured with, if there was one.
        believed: Class -> (position, probability) of the photos without a label that are believed
            to be of it, the surest first.
        error: Why there is nothing, in a line.
        layout: The map, if there is one.
        added: (path, digest) of photos that are new in the folder, in the order of their positions,
            which come after those that the page knows.
    """

    groups: list[list[int]] | None = field(default_factory=list)
    measured: dict[str, Any] | None = None
    believed: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    error: str = ""
    layout: Layout | None = None
    added: Sequence[tuple[str, str]] = ()
