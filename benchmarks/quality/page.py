"""Draws what `results.json` holds as a page of tables and curves.

python benchmarks/quality/page.py            # docs/notebook/quality.md and quality.png
"""

import json
import textwrap
from pathlib import Path

import numpy as np
from summary import number

from ssah_tf.system.files import atomic_path, write_atomically

STORED = Path(__file__).with_name("results.json")
NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook"


def main() -> None:
    """Make the stored page anew."""
    write_page(json.loads(STORED.read_bytes()), NOTEBOOK / "quality.md")


def write_page(summary: dict, path: Path) -> None:
    """A page, and its picture beside it.

    Args:
        summary: As `summary.summarise` makes it.
        path: The page, `NAME.md`; the picture is `NAME.png`.
    """
    picture = path.with_suffix(".png")
    write_atomically(path, page(summary, picture.name).encode())
    draw(summary, picture)


def page(summary: dict, picture: str) -> str:
    """Markdown of the tables."""
    lines = ["# Quality by labels, code length and method", ""]
    lines += ["Made by `benchmarks/quality/page.py` of `results.json` (`make bench-quality`)."]
    lines += ["Bands are one standard deviation over seeds.", ""]
    lines += [*textwrap.wrap(summary["note"], 100), ""] if summary["note"] else []
    lines += [f"![mAP against labels and bits]({picture})", ""]
    for of_set in summary["sets"]:
        lines += [f"## {of_set['set']}", ""]
        lines += ["| labels a class | bits | method | mAP@all | seeds | training |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [row_of_table(row) for row in of_set["rows"]]
        lines += ["", f"{of_set['machine']}, {of_set['date']}. Protocol: {of_set['protocol']}", ""]
        lines += efficiency_tables(of_set["efficiency"])
    return "\n".join(lines)


def row_of_table(row: dict) -> str:
    """A line: mean and deviation over seeds, each seed, seconds of training."""
    value = f"{row['mean']:.3f}"
    if len(row["map"]) > 1:
        value += f" ± {row['deviation']:.3f}"
    each = " / ".join(f"{value:.3f}" for value in row["map"])
    start = f"| {row['labels']} | {row['bits']} | {row['method']} "
    return f"{start}| {value} | {each} | {row['seconds']:.0f} s |"


def efficiency_tables(rows: list[dict]) -> list[str]:
    """A table for each code length."""
    lines = []
    for bits in dict.fromkeys(row["bits"] for row in rows):
        lines += [f"| labels a class, {bits} bits | method | as supervised only with | factor |"]
        lines += ["|---|---|---|---|"]
        for row in rows:
            if row["bits"] == bits:
                needed = f"{row['bound']}{row['needed']:.0f}"
                factor = f"{row['bound']}{row['factor']:.1f}"
                lines += [f"| {row['labels']} | {row['method']} | {needed} | {factor} |"]
        lines += [""]
    return lines


def draw(summary: dict, path: Path) -> None:
    """mAP against labels, or against bits where these vary; bands of one deviation over seeds."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    panels = []
    for of_set in summary["sets"]:
        rows = of_set["rows"]
        axis = "bits" if len({row["bits"] for row in rows}) > 1 else "labels"
        if len({row[axis] for row in rows}) > 1:
            panels.append((of_set["set"], rows, axis))
    if not panels:
        return
    lines, columns = -(-len(panels) // 2), min(2, len(panels))
    figure = Figure(figsize=(5.5 * columns, 4 * lines), layout="constrained")
    grid = np.atleast_1d(figure.subplots(lines, columns)).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    methods = sorted({row["method"] for _, rows, _ in panels for row in rows})
    for axes, (name, rows, axis) in zip(grid, panels, strict=False):
        ticks = sorted({row[axis] for row in rows}, key=number)
        for method in sorted({row["method"] for row in rows}):
            of_method = [row for row in rows if row["method"] == method]
            places = [ticks.index(row[axis]) for row in of_method]
            mean = np.array([row["mean"] for row in of_method])
            spread = np.array([row["deviation"] for row in of_method])
            colour = colormaps["tab20"](methods.index(method) % 20)
            axes.plot(places, mean, marker="o", ms=4, label=method, color=colour)
            axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
        axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
        label = "labels a class" if axis == "labels" else "bits"
        axes.set(title=name, xlabel=label, ylabel="mAP@all, tie-aware")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


if __name__ == "__main__":
    main()
