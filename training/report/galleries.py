"""The pictures of the report: queries with their nearest neighbours."""

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from ssah_tf.data import ImageSet
from ssah_tf.metrics import LabelLists
from ssah_tf.system.errors import RunError
from ssah_tf.system.reading import read_arrays
from ssah_tf.system.text import printable
from ssah_tf.training.photos import known_images
from ssah_tf.training.report import charts
from ssah_tf.training.report.neighbours import CodeSpace
from ssah_tf.training.run import Run
from ssah_tf.training.sample import read_sample

#: Neighbours in a gallery, and queries of each kind.
NEIGHBOURS = 10
QUERIES = 4
#: Side of a picture in a gallery, at most; small images are shown larger by the browser.
THUMBNAIL = 96
#: What stands for an image that is not there.
ABSENT = Image.new("RGB", (THUMBNAIL, THUMBNAIL), (190, 190, 190))


@dataclass(frozen=True)
class Picture:
    """An image of a gallery.

    Attributes:
        address: The image in a data address.
        title: Id and classes.
        distance: Hamming distance to the query, `None` for the query itself.
        right: Whether it shares a label with the query; `None` if there are no labels.
    """

    address: str
    title: str
    distance: int | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation has left, of the images of which it is known whether they have labels.

    Attributes:
        known: These images, perhaps without pixels.
        query: Ids of the queries.
        database: Ids of the images that were searched.
        score: Of each query, `(q,)`: average precision, or without labels the share of the nearest
            by features that are among the first by codes.
        space: Their codes.
    """

    known: ImageSet
    query: tuple[str, ...]
    database: tuple[str, ...]
    score: np.ndarray
    space: CodeSpace

    @classmethod
    def of(cls, run: Run, images: ImageSet | None) -> "Evaluated":
        """What the evaluation of a run has left.

        Args:
            run: The run.
            images: Its images that are there. See `known_images`.

        Raises:
            RunError: A file is missing or damaged, or no label is known.
        """
        split, known = run.evaluated_split, known_images(run, images)
        if known is None:
            raise RunError(
                f"{run.split_path}: of an older version, without labels: the page needs the photos"
            )
        try:
            arrays = read_arrays(run.codes_path)
            codes = arrays["query"], arrays["database"]
            looks = [arrays.get(f"{part}_appearance") for part in ("query", "database")]
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{run.codes_path}: missing or damaged ({error})") from None
        metrics = run.metrics()
        by_labels = metrics["retrieval"] is not None
        found = metrics["average_precision"] if by_labels else metrics["neighbours"]["of_query"]
        score = np.array(found, np.float64)
        parts = split.query, split.database
        if [*map(len, codes), len(score)] != [*map(len, parts), len(split.query)]:
            raise RunError(f"{run.codes_path}: does not fit the split; run `ssah evaluate` again")
        there = set(known.ids)
        rows = [[i for i, name in enumerate(part) if name in there] for part in parts]
        query, database = (
            tuple(part[i] for i in chosen) for part, chosen in zip(parts, rows, strict=True)
        )
        if not query or not database:
            raise RunError("none of the queries, or of the database, is there")
        every = LabelLists.of(known.labels)
        labels = [every.take(known.positions(ids)) for ids in (query, database)]
        bits = metrics["codes"]["bits"]
        appearance = [
            np.zeros((len(chosen), 0), np.uint8) if look is None else look[chosen]
            for look, chosen in zip(looks, rows, strict=True)
        ]
        ours = codes[0][rows[0]], labels[0], codes[1][rows[1]], labels[1], bits
        space = CodeSpace(*ours, *appearance)
        return cls(known, query, database, score[rows[0]], space)

    @cached_property
    def kinds(self) -> dict[str, np.ndarray]:
        """The hardest, typical and the easiest queries by their positions."""
        order = np.argsort(self.score, kind="stable")
        n = len(order)
        count = min(QUERIES, max(1, n // 3))
        middle = (n - count) // 2
        return {
            "Hardest queries": order[:count],
            "Typical queries": order[middle : middle + count],
            "Easiest queries": order[n - count :][::-1],
        }


def pictured(run: Run, images: ImageSet) -> list[str]:
    """Ids of the images that the page of a run shows."""
    done = Evaluated.of(run, images)
    found: dict[str, None] = {}
    for query in (query for queries in done.kinds.values() for query in queries):
        near, _ = done.space.ranked(query, NEIGHBOURS)
        found |= dict.fromkeys([done.query[query], *(done.database[p] for p in near)])
    return list(found)


class Galleries:
    """Queries with their nearest neighbours, of each kind.

    Args:
        run: The run.
        done: What its evaluation has left.
        images: The images that are there; for others the run's sample is looked at.

    Attributes:
        rows: For the page.
        absent: Pictures that could not be had.
    """

    def __init__(self, run: Run, done: Evaluated, images: ImageSet | None):
        self.done, self.images = done, images
        self.place = {} if images is None else {name: i for i, name in enumerate(images.ids)}
        self.known = {name: i for i, name in enumerate(done.known.ids)}
        self.sample = read_sample(run)
        self.absent: set[str] = set()
        self.rows = [
            {"title": title, "rows": [self.row(query) for query in queries]}
            for title, queries in done.kinds.items()
        ]

    def row(self, query: int) -> dict:
        """A query with its neighbours."""
        done = self.done
        positions, distances = done.space.ranked(query, NEIGHBOURS)
        relevant = done.space.relevant(query, positions).tolist()
        right = relevant if done.known.classes else [None] * len(positions)
        return {
            "score": float(done.score[query]),
            "query": self.picture(done.query[query]),
            "neighbours": [
                self.picture(done.database[p], int(d), r)
                for p, d, r in zip(positions, distances, right, strict=True)
            ],
        }

    def picture(self, name: str, distance: int | None = None, right: bool | None = None) -> Picture:
        """An image, as small as it may be."""
        image = self.pixels(name)
        known = self.done.known
        labels = [known.classes[c] for c in np.flatnonzero(known.labels[self.known[name]])]
        title = f"{name} ({', '.join(labels) or 'no label'})"
        if image is None:
            self.absent.add(name)
            image, title = ABSENT, f"{title}: not there"
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        small = max(image.size) < THUMBNAIL
        address = address_of(image, "PNG" if small else "JPEG")
        return Picture(address, printable(title), distance, right)

    def pixels(self, name: str) -> Image.Image | None:
        """An image, or `None` if it cannot be had."""
        if self.images is not None and name in self.place:
            position = self.place[name]
            if self.images.pixels is not None:
                return Image.fromarray(self.images.pixels[position])
            return Image.fromarray(self.images.read_one(position, THUMBNAIL))
        return Image.fromarray(self.sample[name]) if name in self.sample else None


def address_of(image: Image.Image, kind: str) -> str:
    """An image as a data address."""
    stream = io.BytesIO()
    image.save(stream, kind, quality=85)
    return charts.data_address(stream.getvalue(), kind.lower())
