"""What a person sees at the end: the numbers of a run, and the stored rows beside them."""

import json
from importlib import resources

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssah_tf.data.check import DataReport
from ssah_tf.system.text import printable
from ssah_tf.training.recipe import Recipe

#: Names of each finding about the images.
SHOWN = 10


def print_metrics(metrics: dict) -> None:
    """Print the numbers of an evaluation with their protocol."""
    console = Console(highlight=False)
    found = metrics["retrieval"]
    low, high = found["map_interval"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "mAP@all, tie-aware",
        f"{found['map_tie_aware']:.4f}  (95 % interval over queries {low:.4f} to {high:.4f})",
    )
    table.add_row("mAP@all, sorted", f"{found['map_sorted']:.4f}  (ties in database order)")
    for k in (k for k in ("10", "100", "1000", "5000") if k in found["precision_at_k"]):
        precision = found["precision_at_k"][k]
        table.add_row(
            f"P@{k}",
            f"{precision:.4f}  mAP@{k} {found['map_sorted_at_k'][k]:.4f} "
            f"(sorted, by hits in the top {k})",
        )
    table.add_row(
        f"P@Hamming<={found['radius']}",
        f"{found['precision_in_radius']:.4f}  (empty balls, {found['empty_ball_share']:.1%}, "
        "count 0)",
    )
    per_class = {
        name: value
        for name, value in zip(metrics["classes"], found["map_per_class"], strict=True)
        if value is not None
    }
    worst, best = (choose(per_class, key=lambda name: per_class[name]) for choose in (min, max))
    table.add_row(
        "by class", f"best {best} {per_class[best]:.4f}, worst {worst} {per_class[worst]:.4f}"
    )
    codes = metrics["codes"]
    table.add_row(
        "codes",
        f"{codes['distinct_codes']:,} distinct of {found['database']:,}; "
        f"mean |share of ones - 1/2| of a bit {codes['mean_imbalance']:.3f}",
    )
    table.add_row(
        "validation",
        f"mAP {metrics['validation_map']:.4f} ± {metrics['validation_error']:.4f} at epoch "
        f"{metrics['selected_epoch']}, which was selected by it",
    )
    console.print()
    console.print(table)
    console.print(f"Protocol: {metrics['protocol']}.", soft_wrap=True)


def print_data_report(report: DataReport) -> None:
    """Print what `ssah_tf.data.check` found; the first few of each finding by name."""
    console = Console(highlight=False)
    console.print(
        f"{report.name}: {report.images:,} images, {report.labelled:,} with a label "
        f"({report.labelled / report.images:.1%}), {report.multi_label:,} with several; "
        f"{len(report.classes)} classes",
        markup=False,
    )
    parts = ["train", "query"] if any("query" in c for c in report.classes.values()) else ["train"]
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for part in parts:
        table.add_column("labelled" if part == "train" else part, justify="right")
    for name, counts in report.classes.items():
        table.add_row(Text(printable(name)), *(f"{counts.get(part, 0):,}" for part in parts))
    console.print(table)
    findings = {
        "files that cannot be read": list(report.bad_files.values()),
        "labels without a file": report.missing_files,
        "exact copies": [" = ".join(group) for group in report.exact_duplicates],
        "near duplicates": [" ~ ".join(pair) for pair in report.near_duplicates or ()],
        "queries with a copy among the training images": report.leaks,
        "copies with different labels": [" = ".join(group) for group in report.conflicts],
        "class names that differ by case or spaces only": [
            " / ".join(group) for group in report.similar_names
        ],
        "images of one level": report.flat,
    }
    for title, lines in findings.items():
        if lines:
            console.print(f"\n{title}: {len(lines):,}", style="bold", markup=False)
            for line in lines[:SHOWN]:
                console.print(f"  {printable(line)}", markup=False, soft_wrap=True)
            if len(lines) > SHOWN:
                console.print(f"  and {len(lines) - SHOWN:,} more (--json shows all)")
    for kind, lines in (("warning", report.warnings()), ("error", report.errors())):
        for line in lines:
            console.print(f"{kind}: {line}", markup=False)
    if not report.warnings() and not report.errors():
        console.print("no findings")


def stored_rows(recipe: Recipe) -> dict | None:
    """The stored ablation of a built-in recipe, see `ssah_tf.training.ablation`."""
    file = resources.files(__package__) / "reference" / f"{recipe.name}.json"
    return json.loads(file.read_text()) if file.is_file() else None


def print_stored_rows(stored: dict) -> None:
    """Print the rows of a stored ablation with their date and machine."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("stored row")
    table.add_column("mAP@all, tie-aware", justify="right")
    table.add_column("seeds", justify="right")
    table.add_column("training", justify="right")
    for row in stored["rows"]:
        table.add_row(
            row["title"],
            f"{row['mean']:.4f} ± {row['std']:.4f}",
            " ".join(f"{value:.3f}" for value in row["map"]),
            f"{row['seconds']:.0f} s",
        )
    console.print()
    console.print(table)
    console.print(
        f"Measured {stored['date']} on {stored['machine']}; recompute with `ssah ablation "
        f"{stored['recipe']}`. Protocol of the first row and seed: {stored['protocol']}.",
        soft_wrap=True,
    )
