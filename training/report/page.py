"""`report.html` of one run."""

from collections.abc import Callable
from typing import Any, TypeVar

import jinja2
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.metrics import bit_correlation
from ssah_tf.system.files import write_atomically
from ssah_tf.training.choose.record import read_record
from ssah_tf.training.choose.show import rows_of, summary_of
from ssah_tf.training.report import charts
from ssah_tf.training.report.album import draw_album
from ssah_tf.training.report.galleries import Evaluated, Galleries
from ssah_tf.training.report.neighbours import CodeSpace, Confusion
from ssah_tf.training.run import Run
from ssah_tf.version import __version__

T = TypeVar("T")

#: Neighbours that a confusion is counted over.
CONFUSION_K = 100
#: Classes up to which a confusion is drawn as a matrix, and the chart of classes shows all.
MATRIX_CLASSES = 25
BAR_CLASSES = 30
#: Confusions that are listed, the most frequent ones.
CONFUSIONS = 10
#: Stages of a training in words.
STAGES = {
    "hnet_warmup": "warm-up of H-Net",
    "anet_warmup": "warm-up of A-Net",
    "joint": "joint stage",
}
#: Lengths of the table of shorter codes.
LENGTHS = (8, 12, 16, 24, 32, 48, 64, 128)

PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("ssah_tf.training.report", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(
    run: Run,
    images: ImageSet | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `report.html` of an evaluated run, and the picture of hard samples in it.

    Args:
        run: A run with `metrics.json` and `codes.npz`.
        images: Its images that are there. For others the run's sample is looked at.
        progress: Is told (queries looked at for confusions, all) now and then.

    Returns:
        How many pictures could not be had; their places are grey.

    Raises:
        RunError: The run was not evaluated, or its files do not fit each other.
    """
    draw_album(run)
    report, done = run.metrics(), Evaluated.of(run, images)
    space, shown = done.space, Galleries(run, done, images)
    choice = read_record(run)
    by_labels = report["retrieval"] is not None
    page = PAGES.get_template("page.html.j2").render(
        title=done.known.name,
        version=__version__,
        report=report,
        recipe=run.recipe_path.read_text(encoding="utf-8"),
        choice=None if choice is None else summary_of(choice),
        tried=[] if choice is None else rows_of(choice),
        hard_samples=png_address(run),
        galleries=shown.rows,
        absent=len(shown.absent),
        by_appearance=space.query_appearance.shape[1] > 0,
        balance=charts.lines(
            {"ones": (range(1, space.bits + 1), report["codes"]["bit_means"])},
            "bit",
            "share of ones",
            markers=True,
        ),
        correlation=charts.matrix(
            bit_correlation(space.database_codes, space.bits), None, "bit", "bit"
        ),
        **(what_labels_say(run, report, space, progress) if by_labels else {}),
    )
    write_atomically(run.report_path, page.encode("utf-8"))
    return len(shown.absent)


def what_labels_say(
    run: Run, report: dict, space: CodeSpace, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """The parts of the page that need labels. See `write_report`.

    Args:
        run: The run.
        report: Its `metrics.json`.
        space: Its codes.
        progress: See `write_report`.
    """
    classes, found = report["classes"], report["retrieval"]
    history, has_adversary = run.history, run.has_adversary
    by_class = sorted(
        ((name, ap) for name, ap in zip(classes, found["map_per_class"], strict=True) if ap),
        key=lambda entry: -entry[1],
    )
    confusion_k = min(CONFUSION_K, len(space.database_codes))
    confusion = space.confusion(confusion_k, progress)
    p_at_k = {int(k): value for k, value in found["precision_at_k"].items()}
    return {
        "pr": charts.lines(
            {"PR": (found["radius_recall"], found["radius_precision"])}, "recall", "precision"
        ),
        "p_at_k": charts.lines(
            {"P@k": (list(p_at_k), list(p_at_k.values())), **guessing(found)},
            "k",
            "P@k",
            log_x=True,
            markers=True,
        ),
        "training": charts.training_curves(history, has_adversary) if len(history) > 1 else None,
        "stages": list(dict.fromkeys(STAGES[epoch["stage"]] for epoch in history)),
        "has_adversary": has_adversary,
        "by_class": charts.bars(*shortened(by_class), "mAP, tie-aware"),
        "by_class_note": class_note(by_class),
        "label_search": label_rows(report),
        "confusion": charts.matrix(
            confusion.matrix(), classes, "class of the neighbour", "class of the query"
        )
        if len(classes) <= MATRIX_CLASSES
        else None,
        "confusions": worst_confusions(confusion, classes),
        "confusion_k": confusion_k,
        "distances": charts.histogram(*space.distance_counts()),
        "sampled": len(space.chosen) if len(space.chosen) < len(space.query_codes) else None,
        "lengths": [(n, space.truncated(n)) for n in LENGTHS if n < space.bits]
        + [(space.bits, found["map_tie_aware"])],
    }


def guessing(found: dict) -> dict[str, tuple[list[int], list[float]]]:
    """P@k of random codes as a curve; none for numbers of an older version."""
    chance = found.get("chance", {}).get("precision_at_k", {})
    return {"guessing": ([int(k) for k in chance], list(chance.values()))} if chance else {}


def png_address(run: Run) -> str | None:
    """The picture of hard samples as a data address, if the run has one."""
    if not run.picture_path.is_file():
        return None
    return charts.data_address(run.picture_path.read_bytes(), "png")


def shortened(by_class: list[tuple[str, float]]) -> tuple[list[str], list[float]]:
    """Names and values of the best and the worst classes, if there are too many for a chart."""
    by_class = ends(by_class)
    return [name for name, _ in by_class], [value for _, value in by_class]


def label_rows(report: dict) -> list[dict]:
    """What the search by label finds, best class first; none for numbers of an older version.

    Of many classes the best and the worst.
    """
    if "label_search" not in report:
        return []
    found = report["label_search"]
    columns = {
        "name": report["classes"],
        "labelled": found["labelled_per_class"],
        "map": found["map_per_class"],
        "chance": found["chance_per_class"],
        "by_photo": report["retrieval"]["map_per_class"],
    }
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
        if row[2] is not None
    ]
    return ends(sorted(rows, key=lambda row: -row["map"]))


def ends(rows: list[T]) -> list[T]:
    """The first and the last rows, if there are too many for a chart or a table."""
    half = BAR_CLASSES // 2
    return rows[:half] + rows[-half:] if len(rows) > BAR_CLASSES else rows


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
