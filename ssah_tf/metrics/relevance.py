"""Which database images are relevant to a query: those that share a label with it.

An image without any label is relevant to nothing.
"""

from dataclasses import dataclass

import numpy as np


def check_labels(name: str, labels: np.ndarray, count: int | None = None) -> np.ndarray:
    """`labels` as an array, if they are multi-hot, one row for each of `count` codes.

    Raises:
        ValueError: Not two-dimensional, not bool or whole numbers, a value other than 0 and 1, or
            another number of rows than `count`.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] == 0:
        raise ValueError(
            f"{name}: received shape {labels.shape}, expected multi-hot (n, classes); "
            "turn class numbers into rows with numpy.eye(classes, dtype='uint8')[numbers]"
        )
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name}: received dtype {labels.dtype}, expected multi-hot uint8 or bool")
    if labels.size and (labels.min() < 0 or labels.max() > 1):
        raise ValueError(
            f"{name}: received values from {labels.min()} to {labels.max()}, expected 0 and 1"
        )
    if count is not None and len(labels) != count:
        raise ValueError(
            f"{name}: received {len(labels)} rows, expected {count}, one for each code"
        )
    return labels


def relevant_counts(queries: "LabelLists", database: "LabelLists") -> np.ndarray:
    """Number of database images that share a label with each query, int64 `(q,)`."""
    members = Members(database)
    return np.array([len(members.of(queries[i])) for i in range(len(queries))], np.int64)


@dataclass(frozen=True)
class LabelLists:
    """The labels of images as lists of classes: as large as the labels, not images x classes.

    Attributes:
        columns: Classes of all images, one image after another, int64 `(labels,)`.
        starts: Where each image's begin, and the end of the last, int64 `(n + 1,)`.
        classes: Number of classes.
    """

    columns: np.ndarray
    starts: np.ndarray
    classes: int

    @classmethod
    def of(cls, labels: np.ndarray) -> "LabelLists":
        """Of multi-hot labels `(n, classes)`."""
        flat = np.ascontiguousarray(labels).reshape(-1)
        one = (
            flat.view(np.bool_) if flat.dtype.itemsize == 1 else flat != 0
        )  # quick to look through
        rows, columns = np.divmod(np.flatnonzero(one), labels.shape[1])
        return cls(columns, np.searchsorted(rows, np.arange(len(labels) + 1)), labels.shape[1])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, image: int) -> np.ndarray:
        """The classes of an image, ascending."""
        found: np.ndarray = self.columns[self.starts[image] : self.starts[image + 1]]
        return found

    def counts(self) -> np.ndarray:
        """Number of images of each class, int64 `(classes,)`."""
        return np.bincount(self.columns, minlength=self.classes)

    def sizes(self) -> np.ndarray:
        """Number of labels of each image, int64 `(n,)`."""
        found: np.ndarray = np.diff(self.starts)
        return found

    def take(self, images: np.ndarray) -> "LabelLists":
        """The labels of some images, in their order."""
        sizes = self.sizes()[images]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        moved = np.repeat(self.starts[images] - starts[:-1], sizes)
        return LabelLists(self.columns[np.arange(starts[-1]) + moved], starts, self.classes)


class Members:
    """The images of each class: what is relevant is found in the size of the answer."""

    def __init__(self, labels: LabelLists):
        self.images = len(labels)
        rows = np.repeat(np.arange(len(labels)), labels.sizes())
        self.rows = rows[np.argsort(labels.columns, kind="stable")]
        self.starts = np.searchsorted(np.sort(labels.columns), np.arange(labels.classes + 1))

    def of(self, classes: np.ndarray) -> np.ndarray:
        """Positions of the images that have one of some classes, ascending, each once."""
        if len(classes) == 1:
            return self.of_class(int(classes[0]))
        found: np.ndarray = np.flatnonzero(self.mask(classes))
        return found

    def mask(self, classes: np.ndarray) -> np.ndarray:
        """Whether each image has one of some classes, bool `(n,)`."""
        one_of = np.zeros(self.images, bool)
        for one in classes.tolist():
            one_of[self.of_class(one)] = True
        return one_of

    def of_class(self, one: int) -> np.ndarray:
        """Positions of the images of a class, ascending."""
        found: np.ndarray = self.rows[self.starts[one] : self.starts[one + 1]]
        return found
