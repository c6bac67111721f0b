"""`report.html` of one run."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import jinja2
import numpy as np
from PIL import Image

from ssah_tf.data import ImageSet, Split
from ssah_tf.metrics import bit_correlation
from ssah_tf.metrics.relevance import LabelLists
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.reading import read_arrays
from ssah_tf.system.text import printable
from ssah_tf.training.report import charts
from ssah_tf.training.report.album import draw_album
from ssah_tf.training.report.neighbours import CodeSpace, Confusion
from ssah_tf.training.run import Run
from ssah_tf.version import __version__

#: Neighbours in a gallery, and queries of each kind.
NEIGHBOURS = 10
QUERIES = 4
#: Side of a picture in a gallery, at most; small images are shown larger by the browser.
THUMBNAIL = 96
#: Neighbours that a confusion is counted over.
CONFUSION_K = 100
#: Classes up to which a confusion is drawn as a matrix, and the chart of classes shows all.
MATRIX_CLASSES = 25
BAR_CLASSES = 30
#: Confusions that are listed, the most frequent ones.
CONFUSIONS = 10
#: Lengths of the table of shorter codes.
LENGTHS = (8, 12, 16, 24, 32, 48, 64, 128)

PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("ssah_tf.training.report", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Picture:
    """An image of a gallery.

    Attributes:
        address: The image in a data address.
        title: Id and classes.
        distance: Hamming distance to the query, `None` for the query itself.
        right: Whether it shares a label with the query.
    """

    address: str
    title: str
    distance: int | None = None
    right: bool = True


def write_report(
    run: Run,
    images: ImageSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `report.html` of an evaluated run, and the picture of hard samples in it.

    Args:
        run: A run with `metrics.json` and `codes.npz`.
        images: Its images.
        progress: Is told (queries looked at for confusions, all) now and then.

    Raises:
        RunError: The run was not evaluated, or its files do not fit each other.
    """
    draw_album(run)
    split, report = run.split, run.metrics()
    space = code_space(run, images)
    classes = report["classes"]
    found = report["retrieval"]
    by_class = sorted(
        ((name, ap) for name, ap in zip(classes, found["map_per_class"], strict=True) if ap),
        key=lambda entry: -entry[1],
    )
    confusion_k = min(CONFUSION_K, len(space.database_codes))
    confusion = space.confusion(confusion_k, progress)
    p_at_k = {int(k): value for k, value in found["precision_at_k"].items()}
    page = PAGES.get_template("page.html.j2").render(
        title=images.name,
        version=__version__,
        report=report,
        recipe=run.recipe_path.read_text(encoding="utf-8"),
        pr=charts.lines(
            {"PR": (found["radius_recall"], found["radius_precision"])}, "recall", "precision"
        ),
        p_at_k=charts.lines(
            {"P@k": (list(p_at_k), list(p_at_k.values())), **guessing(found)},
            "k",
            "P@k",
            log_x=True,
            markers=True,
        ),
        training=charts.training_curves(run.history),
        by_class=charts.bars(*shortened(by_class), "mAP, tie-aware"),
        by_class_note=class_note(by_class),
        hard_samples=png_address(run),
        galleries=galleries(space, images, split, report["average_precision"]),
        confusion=charts.matrix(
            confusion.matrix(), classes, "class of the neighbour", "class of the query"
        )
        if len(classes) <= MATRIX_CLASSES
        else None,
        confusions=worst_confusions(confusion, classes),
        confusion_k=confusion_k,
        distances=charts.histogram(*space.distance_counts()),
        balance=charts.lines(
            {"ones": (range(1, space.bits + 1), report["codes"]["bit_means"])},
            "bit",
            "share of ones",
            markers=True,
        ),
        correlation=charts.matrix(
            bit_correlation(space.database_codes, space.bits), None, "bit", "bit"
        ),
        sampled=len(space.chosen) if len(space.chosen) < len(space.query_codes) else None,
        lengths=[(n, space.truncated(n)) for n in LENGTHS if n < space.bits]
        + [(space.bits, found["map_tie_aware"])],
    )
    write_atomically(run.report_path, page.encode("utf-8"))


def guessing(found: dict) -> dict[str, tuple[list[int], list[float]]]:
    """P@k of random codes as a curve; none for numbers of an older version."""
    chance = found.get("chance", {}).get("precision_at_k", {})
    return {"guessing": ([int(k) for k in chance], list(chance.values()))} if chance else {}


def code_space(run: Run, images: ImageSet) -> CodeSpace:
    """Codes and labels of a run's queries and database."""
    split = run.split
    try:
        arrays = read_arrays(run.codes_path)
        codes = arrays["query"], arrays["database"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run.codes_path}: missing or damaged ({error})") from None
    every = LabelLists.of(images.labels)
    labels = [every.take(images.positions(part)) for part in (split.query, split.database)]
    if [len(part) for part in codes] != [len(part) for part in labels]:
        raise RunError(f"{run.codes_path}: does not fit the split; run `ssah evaluate` again")
    return CodeSpace(codes[0], labels[0], codes[1], labels[1], run.recipe.model.bits)


def galleries(
    space: CodeSpace, images: ImageSet, split: Split, average_precision: list[float]
) -> list[dict]:
    """Queries with their nearest neighbours: the hardest, typical and the easiest ones."""
    order = np.argsort(average_precision, kind="stable")
    n = len(order)
    count = min(QUERIES, max(1, n // 3))
    middle = (n - count) // 2
    kinds = {
        "Hardest queries": order[:count],
        "Typical queries": order[middle : middle + count],
        "Easiest queries": order[n - count :][::-1],
    }
    query_at, database_at = images.positions(split.query), images.positions(split.database)
    found = []
    for title, queries in kinds.items():
        rows = []
        for query in queries:
            positions, distances = space.ranked(query, NEIGHBOURS)
            right = space.relevant(query, positions)
            rows.append(
                {
                    "ap": average_precision[query],
                    "query": picture(images, query_at[query]),
                    "neighbours": [
                        picture(images, database_at[p], int(d), bool(r))
                        for p, d, r in zip(positions, distances, right, strict=True)
                    ],
                }
            )
        found.append({"title": title, "rows": rows})
    return found


def picture(
    images: ImageSet, position: int, distance: int | None = None, right: bool = True
) -> Picture:
    """An image of the set for a gallery, as small as it may be."""
    if images.pixels is not None:
        pixels = images.pixels[position]
    else:
        pixels = images.read_one(position, THUMBNAIL)
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    small = max(image.size) < THUMBNAIL
    names = [images.classes[c] for c in np.flatnonzero(images.labels[position])]
    return Picture(
        address=address_of(image, "PNG" if small else "JPEG"),
        title=printable(f"{images.ids[position]} ({', '.join(names) or 'no label'})"),
        distance=distance,
        right=right,
    )


def address_of(image: Image.Image, kind: str) -> str:
    """An image as a data address."""
    stream = io.BytesIO()
    image.save(stream, kind, quality=85)
    return charts.data_address(stream.getvalue(), kind.lower())


def png_address(run: Run) -> str | None:
    """The picture of hard samples as a data address, if the run has one."""
    if not run.picture_path.is_file():
        return None
    return charts.data_address(run.picture_path.read_bytes(), "png")


def shortened(by_class: list[tuple[str, float]]) -> tuple[list[str], list[float]]:
    """Names and values of the best and the worst classes, if there are too many for a chart."""
    if len(by_class) > BAR_CLASSES:
        by_class = by_class[: BAR_CLASSES // 2] + by_class[-BAR_CLASSES // 2 :]
    return [name for name, _ in by_class], [value for _, value in by_class]


def class_note(by_class: list[tuple[str, float]]) -> str:
    """Which classes the chart shows."""
    if len(by_class) <= BAR_CLASSES:
        return f"All {len(by_class)} classes that have queries, best first."
    half = BAR_CLASSES // 2
    return f"The {half} best and the {half} worst of {len(by_class)} classes."


def worst_confusions(confusion: Confusion, classes: list[str]) -> list[dict]:
    """The pairs of classes with the largest share of wrong neighbours."""
    wrong = np.where(confusion.query == confusion.neighbour, 0, confusion.share)
    return [
        {
            "query": classes[confusion.query[place]],
            "neighbour": classes[confusion.neighbour[place]],
            "share": float(wrong[place]),
        }
        for place in np.argsort(-wrong, kind="stable")[:CONFUSIONS]
        if wrong[place] > 0
    ]
