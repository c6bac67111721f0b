"""What a person sees at the end: the numbers of a run, and the stored rows beside them."""

import json
from collections.abc import Iterator
from importlib import resources

from rich.table import Table

from ssah_tf.data.check import DataReport
from ssah_tf.metrics.paired import ENOUGH, paired_difference
from ssah_tf.system.text import plain_console, printable
from ssah_tf.training.recipe import Recipe, load_recipe

#: Names of each finding about the images.
SHOWN = 10


def print_metrics(metrics: dict) -> None:
    """Print the numbers of an evaluation with their protocol."""
    console = plain_console()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    by_labels = metrics["retrieval"] is not None
    rows = rows_with_labels(metrics) if by_labels else rows_without_labels(metrics["neighbours"])
    codes = metrics["codes"]
    spread = (
        f"{codes['distinct_codes']:,} distinct of {codes['codes']:,}, the most common of "
        f"{codes['largest_bucket']:,}; mean |share of ones - 1/2| of a bit "
        f"{codes['mean_imbalance']:.3f}"
    )
    for row in [*rows, ("codes", spread), *(validation_rows(metrics) if by_labels else ())]:
        table.add_row(*row)
    console.print()
    console.print(table)
    if not by_labels:
        console.print(f"nearest in k: {metrics['neighbours']['definition']}.", soft_wrap=True)
    console.print("guessing: what random codes reach on average.")
    console.print(f"Protocol: {printable(metrics['protocol'])}.", soft_wrap=True)
    for line in metrics["doubts"]:
        console.print(f"warning: {printable(line)}", soft_wrap=True)


def rows_with_labels(metrics: dict) -> Iterator[tuple[str, str]]:
    """What labels say of queries and database: name and numbers."""
    found = metrics["retrieval"]
    chance = found["chance"]
    low, high = found["map_interval"]
    yield (
        "mAP@all, tie-aware",
        f"{found['map_tie_aware']:.4f}  guessing {chance['map_tie_aware']:.4f}  "
        f"(95 % interval over queries {low:.4f} to {high:.4f})",
    )
    yield (
        "mAP@all, sorted",
        f"{found['map_sorted']:.4f}  guessing {chance['map_sorted']:.4f}  "
        f"(database shuffled by seed {found['seed']})",
    )
    for k in (k for k in ("10", "100", "1000", "5000") if k in found["precision_at_k"]):
        yield (
            f"P@{k}",
            f"{found['precision_at_k'][k]:.4f}  guessing {chance['precision_at_k'][k]:.4f}; "
            f"mAP@{k} by hits {found['map_sorted_by_hits_at_k'][k]:.4f}  "
            f"guessing {chance['map_sorted_by_hits_at_k'][k]:.4f}",
        )
    yield (
        f"P@Hamming<={found['radius']}",
        f"{found['precision_in_radius']:.4f}  guessing {chance['precision_in_radius']:.4f}  "
        f"(empty balls, {found['empty_ball_share']:.1%}, count 0)",
    )
    per_class = {
        name: (value, guess)
        for name, value, guess in zip(
            metrics["classes"], found["map_per_class"], found["chance_per_class"], strict=True
        )
        if value is not None
    }
    ends = [pick(per_class, key=lambda name: per_class[name][0]) for pick in (max, min)]
    yield (
        "by class",
        ", ".join(
            f"{word} {printable(name)} {per_class[name][0]:.4f} guessing {per_class[name][1]:.4f}"
            for word, name in zip(("best", "worst"), ends, strict=True)
        ),
    )
    by_label = metrics["label_search"]
    if by_label["map"] is not None:
        yield (
            "search by label",
            f"mAP {by_label['map']:.4f}  guessing {by_label['chance']:.4f}, of "
            f"{by_label['photos']:,} photos whose labels training did not use",
        )
    yield (
        "queries",
        f"{found['queries']:,} of {found['query_classes']:,} of the {len(metrics['classes']):,} "
        f"classes, against {found['database']:,}",
    )


def validation_rows(metrics: dict) -> Iterator[tuple[str, str]]:
    """By what the encoder was selected: name and numbers."""
    yield (
        "validation",
        f"mAP {metrics['validation_map']:.4f} ± {metrics['validation_error']:.4f}  "
        f"guessing {metrics['validation_chance']:.4f}, at epoch "
        f"{metrics['selected_epoch']}, which was selected by it",
    )


def rows_without_labels(found: dict) -> Iterator[tuple[str, str]]:
    """How codes agree with features, of the section `neighbours`: name and numbers."""
    for k, share in found["recall"].items():
        low, high = found["interval"][k]
        yield (
            f"{found['near']} nearest in {k}",
            f"{share:.4f}  guessing {found['chance'][k]:.4f}  (95 % interval over queries "
            f"{low:.4f} to {high:.4f})",
        )
    yield "queries", f"{found['queries']:,}, against {found['database']:,}"


def print_data_report(report: DataReport) -> None:
    """Print what `ssah_tf.data.check` found; the first few of each finding by name."""
    console = plain_console()
    console.print(
        f"{printable(report.name)}: {report.images:,} images, {report.labelled:,} with a label "
        f"({report.labelled / report.images:.1%}), {report.multi_label:,} with several; "
        f"{len(report.classes)} classes",
        markup=False,
    )
    if report.parts:
        of = {
            part: [f for f, p in report.parts.items() if p == part] for part in ("train", "query")
        }
        console.print(
            f"a split: queries are in {', '.join(of['query'])}, all others in "
            f"{', '.join(of['train'])}",
            markup=False,
        )
    parts = ["train", "query"] if any("query" in c for c in report.classes.values()) else ["train"]
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for part in parts:
        table.add_column("labelled" if part == "train" else part, justify="right")
    for name, counts in report.classes.items():
        table.add_row(printable(name), *(f"{counts.get(part, 0):,}" for part in parts))
    if report.classes:
        console.print(table)
    findings = {
        "files that cannot be read": list(report.bad_files.values()),
        "labels without a file": report.missing_files,
        "labels of files that are passed over": [
            path if path.lower().endswith(reason) else f"{path}: {reason}"
            for path, reason in report.unread_files.items()
        ],
        "exact copies": [" = ".join(group) for group in report.exact_duplicates],
        "near duplicates": [" ~ ".join(pair) for pair in report.near_duplicates or ()],
        "queries and training images that mirror each other": [
            " ~ ".join(pair) for pair in report.mirrored_duplicates or ()
        ],
        "queries with a copy among the training images": report.leaks,
        "copies with different labels": [" = ".join(group) for group in report.conflicts],
        "class names that differ by case or spaces only": [
            " / ".join(group) for group in report.similar_names
        ],
        "class names that look like an accident": report.odd_names,
        "images of one level": report.flat,
    }
    for title, lines in findings.items():
        if lines:
            console.print(f"\n{title}: {len(lines):,}", style="bold")
            for line in lines[:SHOWN]:
                console.print(f"  {printable(line)}", soft_wrap=True)
            if len(lines) > SHOWN:
                console.print(f"  and {len(lines) - SHOWN:,} more (--json shows all)")
    if report.passed_over["line"] and not report.passed_over["unexpected"]:
        console.print(report.passed_over["line"], soft_wrap=True)
    for kind, lines in (("warning", report.warnings()), ("error", report.errors())):
        for line in lines:
            console.print(f"{kind}: {line}", soft_wrap=True)
    if not report.warnings() and not report.errors():
        console.print("no findings")


def stored_rows(recipe: Recipe) -> dict | None:
    """The stored ablation of a built-in recipe, if this is that recipe, with nothing changed.

    See `ssah_tf.training.ablation`.
    """
    file = resources.files(__package__) / "reference" / f"{recipe.name}.json"
    if not file.is_file() or not agree(load_recipe(recipe.name).model_dump(), recipe.model_dump()):
        return None
    return json.loads(file.read_text(encoding="utf-8"))


def agree(recipe: object, used: object) -> bool:
    """Whether values of a recipe are those that were used; `auto` agrees with what it became."""
    if isinstance(recipe, dict) and isinstance(used, dict):
        return recipe.keys() == used.keys() and all(agree(recipe[k], used[k]) for k in recipe)
    return recipe in ("auto", used)


def print_stored_rows(stored: dict) -> None:
    """Print the rows of a stored ablation, the last less each of the others, date and machine."""
    console = plain_console()
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
    console.print()
    console.print(differences(stored["rows"]))
    console.print(
        f"Measured {stored['date']} on {stored['machine']}; recompute with `ssah ablation "
        f"{stored['recipe']}`. Protocol of the first row and seed: {stored['protocol']}.",
        soft_wrap=True,
    )


def differences(rows: list[dict]) -> Table:
    """The last row of an ablation less each of the others, seed by seed."""
    *others, whole = rows
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{whole['title']} less")
    table.add_column("mean ± deviation", justify="right")
    table.add_column("95 % t interval", justify="right")
    table.add_column("seeds", justify="right")
    for row in others:
        found = paired_difference(whole["map"], row["map"])
        table.add_row(
            row["title"],
            found.text,
            found.interval_text or f"from {ENOUGH} seeds on",
            " ".join(f"{value:+.3f}" for value in found.values),
        )
    return table
