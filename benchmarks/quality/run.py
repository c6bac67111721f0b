"""Runs a grid of image sets, numbers of labels, methods and seeds; makes a table and curves of it.

    python benchmarks/quality/run.py [--only fashion] [--data cifar10=DIR] [--labels 10 100]
                                     [--methods "full method"] [--seeds 0] [--output runs/quality]

Killed at any moment, the same command goes on: each run lies in a folder of its own and resumes at
its last epoch, each result in a JSON file that is whole or not there. The queries take no part in
any choice. `results.md` and `curves.png` are made anew after each run, of what is there.
"""

import argparse
import json
import os
from datetime import date
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import yaml

from ssah_tf.files import atomic_path, write_atomically
from ssah_tf.training.ablation import machine, one
from ssah_tf.training.recipe import load_recipe

GRID = Path(__file__).with_name("grid.yaml")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="Image sets of the grid; all by default.")
    parser.add_argument("--data", nargs="*", default=[], metavar="SET=DIR")
    parser.add_argument("--labels", nargs="*", type=int, help="Only these numbers a class.")
    parser.add_argument("--methods", nargs="*", help="Only these methods.")
    parser.add_argument("--seeds", nargs="*", type=int, help="Only these seeds.")
    parser.add_argument("--output", type=Path, default=Path("runs/quality"))
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    folders = dict(entry.split("=", 1) for entry in given.data)
    grid = yaml.safe_load(GRID.read_text(encoding="utf-8"))
    for name, spec in grid.items():
        if given.only and name not in given.only:
            continue
        if spec.get("data") == "required" and name not in folders:
            print(f"{name}: left out, give --data {name}=DIR")
            continue
        source = [f"data.source={json.dumps(folders[name])}"] if name in folders else []
        # Seeds last: a killed queue leaves every row with one seed, not one row with all.
        for seed, labels, method in product(spec["seeds"], spec["labels"], spec["methods"]):
            chosen = {"labels": labels, "methods": method, "seeds": seed}
            if any(vars(given)[k] and value not in vars(given)[k] for k, value in chosen.items()):
                continue
            changes = (
                *source,
                *spec.get("overrides", []),
                *spec["methods"][method],
                f"data.labelled_per_class={labels}",
                f"seed={seed}",
                *given.overrides,
            )
            keep(given.output, name, labels, method, seed, load_recipe(spec["recipe"], changes))
            write_page(given.output)


def keep(output: Path, name: str, labels: int, method: str, seed: int, recipe) -> None:
    """Train and evaluate a run unless its result is there, and write that."""
    title = f"{name}-{labels}-{method.replace(',', '').replace(' ', '-')}-{seed}"
    path = output / f"{title}.json"
    if path.is_file():
        return
    print(title, flush=True)
    report = one(recipe, output / title)
    result = {
        "set": name,
        "labels": labels,
        "method": method,
        "seed": seed,
        "map": report["retrieval"]["map_tie_aware"],
        "validation_map": report["validation_map"],
        "seconds": report["training_seconds"],
        "protocol": report["protocol"],
        "machine": machine(),
        "date": date.today().isoformat(),
    }
    write_atomically(path, json.dumps(result, indent=1).encode())


def write_page(output: Path) -> None:
    """`results.md` and `curves.png` of the results that are there."""
    results = [json.loads(path.read_bytes()) for path in sorted(output.glob("*.json"))]
    lines = ["# Label efficiency", ""]
    for name in dict.fromkeys(r["set"] for r in results):
        of_set = [r for r in results if r["set"] == name]
        lines += [f"## {name}", "", "| labels a class | method | mAP@all | seeds | training |"]
        lines += ["|---|---|---|---|---|"]
        for labels, method in sorted({(r["labels"], r["method"]) for r in of_set}):
            rows = [r for r in of_set if (r["labels"], r["method"]) == (labels, method)]
            rows.sort(key=lambda r: r["seed"])
            mean, spread = mean_and_deviation(rows)
            each = " / ".join(f"{r['map']:.3f}" for r in rows)
            seconds = np.mean([r["seconds"] for r in rows])
            lines.append(
                f"| {labels} | {method} | {mean:.3f} ± {spread:.3f} | {each} | {seconds:.0f} s |"
            )
        first = of_set[0]
        lines += ["", f"{first['machine']}, {first['date']}. Protocol: {first['protocol']}", ""]
    write_atomically(output / "results.md", "\n".join(lines).encode())
    draw(results, output / "curves.png")


def mean_and_deviation(rows: list[dict]) -> tuple[float, float]:
    """Of mAP over seeds; 0 for one seed."""
    values = [row["map"] for row in rows]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def draw(results: list[dict], path: Path) -> None:
    """mAP against the number of labels, a panel a set, bands of one deviation over the seeds."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(r["set"] for r in results))
    figure = Figure(figsize=(5.5 * len(names), 4), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        of_set = [r for r in results if r["set"] == name]
        for method in dict.fromkeys(r["method"] for r in of_set):
            rows = [r for r in of_set if r["method"] == method]
            labels = sorted({r["labels"] for r in rows})
            points = [mean_and_deviation([r for r in rows if r["labels"] == n]) for n in labels]
            mean, spread = np.array(points).T
            (line,) = axes.plot(labels, mean, marker="o", label=method)
            axes.fill_between(
                labels, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, lw=0
            )
        ticks = sorted({r["labels"] for r in of_set})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.set(title=name, xlabel="labels a class", ylabel="mAP@all, tie-aware")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


if __name__ == "__main__":
    main()
