"""One page that puts several runs side by side."""

from itertools import compress
from pathlib import Path

from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.training.report import charts
from ssah_tf.training.report.page import PAGES
from ssah_tf.training.run import Run
from ssah_tf.version import __version__


def write_comparison(runs: list[Run], output: Path) -> None:
    """Write one page with the numbers and the curves of several evaluated runs.

    Args:
        runs: Two or more, their folders named differently.
        output: The HTML file.

    Raises:
        RunError: A run was not evaluated, or two have the same name.
    """
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    if len(set(names)) < len(names):
        raise RunError("name each run once")
    reports = [run.metrics() for run in runs]
    measured = [report["retrieval"] is not None for report in reports]  # by labels
    found = {
        name: report["retrieval"]
        for name, report in compress(zip(names, reports, strict=True), measured)
    }
    page = PAGES.get_template("compare.html.j2").render(
        version=__version__,
        rows=list(zip(names, reports, [run.recipe for run in runs], strict=True)),
        protocols=sorted({report["protocol"].split("; split seed")[0] for report in reports}),
        pr=charts.lines(
            {name: (r["radius_recall"], r["radius_precision"]) for name, r in found.items()},
            "recall",
            "precision",
        ),
        p_at_k=charts.lines(
            {
                name: ([int(k) for k in r["precision_at_k"]], list(r["precision_at_k"].values()))
                for name, r in found.items()
            },
            "k",
            "P@k",
            log_x=True,
            markers=True,
        ),
        validation=charts.lines(
            {
                name: (
                    [e["epoch"] + 1 for e in run.history],
                    [e["validation_map"] for e in run.history],
                )
                for name, run in compress(zip(names, runs, strict=True), measured)
            },
            "epoch",
            "validation mAP",
        ),
    )
    write_atomically(output, page.encode("utf-8"))
