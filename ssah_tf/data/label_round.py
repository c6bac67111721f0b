"""What the page of labelling and the process that learns tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes:
        labels: Position of a photo -> its classes, of the labelled ones.
        passed: Positions of photos that are not to be suggested: something else was said of them.
        train: Whether to train and measure; or else only to suggest.
        rejected: Position of a photo -> classes that it is not of, of those without a label.
    """

    labels: Mapping[int, tuple[str, ...]]
    passed: tuple[int, ...]
    train: bool
    rejected: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


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
class Outcome:
    """What a task came to.

    Attributes:
        groups: Positions of photos to label next, alike ones together.
        measured: What the training was measured with, if there was one.
        believed: Class -> (position, probability) of the photos without a label that are believed
            to be of it, the surest first.
        error: Why there is nothing, in a line.
    """

    groups: list[list[int]] = field(default_factory=list)
    measured: dict[str, Any] | None = None
    believed: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    error: str = ""
