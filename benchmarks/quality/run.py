"""Runs a grid of image sets, numbers of labels, code lengths, methods and seeds; tables and curves.

    python benchmarks/quality/run.py [--only fashion] [--data cub100-frozen=DIR] [--labels 10 100]
                                     [--bits 48] [--methods "full method"] [--seeds 0]
                                     [--output runs/quality]

Killed at any moment, the same command goes on: each run lies in a folder of its own and resumes at
its last epoch, each result in a JSON file that is whole or not there. The queries take no part in
any choice. `results.md` and `curves.png` are made anew after each run, of what is there.
"""

import argparse
import json
import os
import time
from datetime import date
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import yaml

from ssah_tf.data import load_images
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.training.ablation import machine, one
from ssah_tf.training.build import build_backbone, build_split
from ssah_tf.training.hash_layer.features import features_of, sample_of
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.itq import begin_with_itq
from ssah_tf.training.recipe import Recipe, load_recipe

GRID = Path(__file__).with_name("grid.yaml")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="Experiments of the grid; all by default.")
    parser.add_argument("--data", nargs="*", default=[], metavar="EXPERIMENT=DIR[,LABELS]")
    parser.add_argument("--labels", nargs="*", help="Only these numbers a class.")
    parser.add_argument("--bits", nargs="*", help="Only these code lengths.")
    parser.add_argument("--methods", nargs="*", help="Only these methods.")
    parser.add_argument("--seeds", nargs="*", help="Only these seeds.")
    parser.add_argument("--output", type=Path, default=Path("runs/quality"))
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    folders = dict(entry.split("=", 1) for entry in given.data)
    grid = yaml.safe_load(GRID.read_text(encoding="utf-8"))
    given.output.mkdir(parents=True, exist_ok=True)
    for name, spec in grid.items():
        if given.only and name not in given.only:
            continue
        if spec.get("data") == "required" and name not in folders:
            print(f"{name}: left out, give --data {name}=DIR")
            continue
        where = zip(("data.source", "data.labels"), folders.get(name, "").split(","), strict=False)
        source = [f"{key}={json.dumps(path)}" for key, path in where if path]
        axes = (spec["seeds"], spec["labels"], spec.get("bits", [None]), spec["methods"])
        # Seeds first: a killed queue leaves every row with one seed, not one row with all.
        for seed, labels, bits, method in product(*axes):
            chosen = {"labels": labels, "bits": bits, "methods": method, "seeds": seed}
            wanted = vars(given)
            if any(wanted[key] and str(v) not in wanted[key] for key, v in chosen.items()):
                continue
            changes = (
                *source,
                *spec.get("overrides", []),
                *spec["methods"][method],
                f"data.labelled_per_class={labels}",
                *([] if bits is None else [f"model.bits={bits}"]),
                f"seed={seed}",
                *given.overrides,
            )
            recipe = load_recipe(spec["recipe"], changes)
            run = one_on_features if spec.get("features") else one
            if keep(given.output, name, labels, method, recipe, run):
                write_page(given.output)
    write_page(given.output)


def keep(output: Path, name: str, labels, method: str, recipe: Recipe, run) -> bool:
    """Train and evaluate a run unless its result is there, and write that; whether it was new."""
    words = "".join(c if c.isalnum() or c == "." else "-" for c in method)
    title = f"{name}-{labels}-{recipe.model.bits}-{words}-{recipe.seed}"
    path = output / f"{title}.json"
    if path.is_file():
        return False
    print(title, flush=True)
    report = run(recipe, output / title)
    result = {
        "set": name,
        "labels": labels,
        "bits": recipe.model.bits,
        "method": method,
        "seed": recipe.seed,
        "map": report["retrieval"]["map_tie_aware"],
        "validation_map": report["validation_map"],
        "seconds": report["training_seconds"],
        "protocol": report["protocol"],
        "machine": machine(),
        "date": date.today().isoformat(),
    }
    write_atomically(path, json.dumps(result, indent=1).encode())
    return True


def one_on_features(recipe: Recipe, folder: Path) -> dict:
    """What `ssah train frozen` would reach, on features that all runs share.

    Args:
        recipe: A recipe with `train.cached_features`.
        folder: Would be the run's; the features of all images are kept beside it.

    Returns:
        As the report of a run. There is no validation: all labels are trained on, as in the second
        training of `ssah_tf.training.hash_layer.frozen.fit_on_features`.
    """
    images = images_of(recipe.data.source, recipe.data.labels)
    split = build_split(recipe, images)
    features = features_of_all(recipe, images, split, folder.parent)
    labelled, validation, unlabelled, query, database = (
        images.positions(part)
        for part in (
            split.labelled,
            split.validation,
            split.unlabelled,
            split.query,
            split.database,
        )
    )
    known = np.concatenate([labelled, validation])
    seen = features[np.concatenate([known, sample_of(unlabelled)])]
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    hnet = HNet(CachedFeatures(features.shape[1]), recipe.model.bits)
    hnet.build((None, features.shape[1]))
    began = time.monotonic()
    if recipe.train.joint:
        train_on_features(hnet, recipe, seen, images.labels[known])
    else:
        begin_with_itq(hnet, seen, recipe.seed)
    seconds = time.monotonic() - began
    codes = [hnet.encode([features[part]]) for part in (query, database)]
    labels = [images.labels[part] for part in (query, database)]
    found = evaluate_retrieval(
        codes[0], labels[0], codes[1], labels[1], hnet.bits, cutoffs=(), n_bootstrap=0
    )
    return {
        "retrieval": found.to_dict(),
        "validation_map": None,
        "training_seconds": round(seconds, 1),
        "protocol": f"{split.protocol}; {hnet.bits} bits; training seed {recipe.seed}",
    }


@lru_cache(maxsize=1)
def images_of(source: str, labels: str | None):
    """The images of a folder, scanned once."""
    return load_images(source, labels).images


def features_of_all(recipe: Recipe, images, split, output: Path) -> np.ndarray:
    """Features of all images by a frozen backbone, float32 `(images, features)`, kept as a file.

    The file is named by what it depends on, so that no other set or network is taken for this one.
    """
    size = recipe.data.image_size
    origin = [recipe.model.backbone, recipe.model.options, size, images.digests]
    path = output / f"features-{sha256(json.dumps(origin).encode()).hexdigest()[:16]}.npy"
    if not path.is_file():
        hnet = HNet(build_backbone(recipe, images, split), 1)
        hnet.build((None, size, size, 3))
        with atomic_path(path) as temporary:
            np.save(temporary, features_of(hnet, images, np.arange(len(images)), size))
    return np.load(path, mmap_mode="r", allow_pickle=False)


def write_page(output: Path) -> None:
    """`results.md` and `curves.png` of the results that are there."""
    results = [json.loads(path.read_bytes()) for path in sorted(output.glob("*.json"))]
    lines = ["# Quality by labels, code length and method", ""]
    lines += ["Made by `make bench-quality`. Bands are one standard deviation over seeds.", ""]
    lines += ["![mAP against labels and bits](curves.png)", ""]
    for name in dict.fromkeys(r["set"] for r in results):
        of_set = [r for r in results if r["set"] == name]
        lines += [
            f"## {name}",
            "",
            "| labels a class | bits | method | mAP@all | seeds | training |",
        ]
        lines += ["|---|---|---|---|---|---|"]
        for labels, bits, method in rows_of(of_set):
            rows = select(of_set, labels=labels, bits=bits, method=method)
            mean, spread = mean_and_deviation(rows)
            each = " / ".join(f"{r['map']:.3f}" for r in rows)
            seconds = np.mean([r["seconds"] for r in rows])
            value = f"{mean:.3f} ± {spread:.3f}" if len(rows) > 1 else f"{mean:.3f}"
            lines.append(f"| {labels} | {bits} | {method} | {value} | {each} | {seconds:.0f} s |")
        first = of_set[0]
        lines += ["", f"{first['machine']}, {first['date']}. Protocol: {first['protocol']}", ""]
        lines += efficiency_table(of_set)
    write_atomically(output / "results.md", "\n".join(lines).encode())
    draw(results, output / "curves.png")


def efficiency_table(of_set: list[dict]) -> list[str]:
    """How many labels a class the best supervised row needs for what a method reaches."""
    lines = []
    for bits in sorted({r["bits"] for r in of_set}):
        rows = [(labels, method) for labels, b, method in rows_of(of_set) if b == bits]
        means = {
            row: mean_and_deviation(select(of_set, labels=row[0], bits=bits, method=row[1]))[0]
            for row in rows
        }
        supervised = {}
        for (labels, method), mean in means.items():
            if method.startswith("supervised only") and labels != "all":
                supervised[labels] = max(mean, supervised.get(labels, 0.0))
        if len(supervised) < 2:
            continue
        counts, reached = np.array(sorted(supervised.items())).T
        lines += [f"| labels a class, {bits} bits | method | as supervised only with | factor |"]
        lines += ["|---|---|---|---|"]
        for (labels, method), mean in means.items():
            if labels != "all" and not method.startswith("supervised only"):
                bound, needed = labels_needed(mean, counts, reached)
                factor = f"{bound}{needed / labels:.1f}"
                lines += [f"| {labels} | {method} | {bound}{needed:.0f} | {factor} |"]
        lines += [""]
    return lines


def labels_needed(value: float, counts: np.ndarray, reached: np.ndarray) -> tuple[str, float]:
    """Labels a class with which a rising curve reaches a value.

    Args:
        value: mAP that is asked for.
        counts: Labels a class, rising.
        reached: mAP at those; straight against the logarithm of the labels in between.

    Returns:
        "", or "at most " or "more than " outside of the curve, and the number.
    """
    reached = np.maximum.accumulate(reached)
    if value <= reached[0]:
        return "at most ", counts[0]
    if value > reached[-1]:
        return "more than ", counts[-1]
    return "", float(np.exp(np.interp(value, reached, np.log(counts))))


def select(results: list[dict], **wanted) -> list[dict]:
    """Results with these values, in the order of their seeds."""
    found = [r for r in results if all(r[key] == value for key, value in wanted.items())]
    return sorted(found, key=lambda r: r["seed"])


def rows_of(results: list[dict]) -> list[tuple]:
    """(labels, bits, method) of results, few labels and short codes first, the best method last."""
    rows = {(r["labels"], r["bits"], r["method"]) for r in results}

    def order(row):
        labels, bits, method = row
        mean, _ = mean_and_deviation(select(results, labels=labels, bits=bits, method=method))
        return (number(labels), bits, mean)

    return sorted(rows, key=order)


def number(labels) -> float:
    """A number of labels for sorting; "all" is the greatest."""
    return float("inf") if labels == "all" else float(labels)


def mean_and_deviation(rows: list[dict]) -> tuple[float, float]:
    """Of mAP over seeds; 0 for one seed."""
    values = [row["map"] for row in rows]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def draw(results: list[dict], path: Path) -> None:
    """mAP against labels, or against bits where these vary; bands of one deviation over seeds."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    panels = []
    for name in dict.fromkeys(r["set"] for r in results):
        of_set = [r for r in results if r["set"] == name]
        axis = "bits" if len({r["bits"] for r in of_set}) > 1 else "labels"
        if len({r[axis] for r in of_set}) > 1:
            panels.append((name, of_set, axis))
    if not panels:
        return
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    figure = Figure(figsize=(5.5 * columns, 4 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    methods = sorted({r["method"] for _, of_set, _ in panels for r in of_set})
    for axes, (name, of_set, axis) in zip(grid, panels, strict=False):
        ticks = sorted({r[axis] for r in of_set}, key=number)
        for method in sorted({r["method"] for r in of_set}):
            rows = select(of_set, method=method)
            known = [tick for tick in ticks if select(rows, **{axis: tick})]
            points = [mean_and_deviation(select(rows, **{axis: tick})) for tick in known]
            places = [ticks.index(tick) for tick in known]
            mean, spread = np.array(points).T
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
