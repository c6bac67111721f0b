"""Trains the rows of the second round on the adversary on development splits; paired differences.

    python benchmarks/adversary/run.py --lines 2 [--seeds 0 1 2 3 4] [--sets fashion]
                                       [--data cifar10=DIR] [--jobs 2] [--output runs/adversary]
    python benchmarks/adversary/run.py --table

A line is a number, 1 to 5, or the name of a row; `NAME@N` is that row with N joint epochs. Random
deformation is always among them. The query images of a set are left out of it altogether. What is
compared, and when a line is stopped, is in `docs/notebook/adversary-2.md`.

Each training is a process with one thread. Killed at any moment, the same command goes on: a run
resumes at its last epoch, and a finished row is a file in `rows/` beside this one, whole or not
there. The table of what is there is printed after each row, or with `--table` alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from lines import CONTROL, ROWS, paired

from ssah_tf.data import ImageSet, load_images
from ssah_tf.data.split import draw_queries
from ssah_tf.metrics import paired_difference
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.training.auto import resolve
from ssah_tf.training.build import build_split
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.machine import machine
from ssah_tf.training.recipe import Recipe, load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.train import train

FINISHED = Path(__file__).with_name("rows")
#: Seeds that a line is stopped by.
SCREEN = range(5)


@dataclass(frozen=True)
class Trial:
    """A set, and the recipe that its rows are variants of.

    Attributes:
        recipe: Name of the recipe.
        queries: Development queries a class.
        changes: Further overrides of it.
        kept_back: Images a class that a set without official queries gives up in their place; 0 if
            what is given is a training part already.
    """

    recipe: str
    queries: int
    changes: tuple[str, ...] = ()
    kept_back: int = 100


#: What is trained on, by name.
SETS = {
    "fashion": Trial("fashion", 50),
    "cifar10": Trial(
        "cifar10",
        50,
        (
            "data.labelled_per_class=100",
            "data.validation_per_class=5",
            "model.backbone=convnet",
            "train.hnet_warmup=4",
            "train.joint=26",
        ),
    ),
    "birds": Trial(
        "pretrained",
        6,
        (
            "data.labelled_per_class=10",
            "data.validation_per_class=2",
            "data.image_size=96",
            "model.options={frozen_stages: 3}",
            "train.hnet_warmup=2",
            "train.joint=6",
        ),
        kept_back=0,
    ),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", nargs="*", default=["2", "1", "3", "4"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[*SCREEN])
    parser.add_argument("--sets", nargs="*", choices=SETS, default=["fashion"])
    parser.add_argument("--data", nargs="*", default=[], metavar="SET=DIR")
    parser.add_argument("--jobs", type=int, default=1, help="Trainings at once.")
    parser.add_argument("--output", type=Path, default=Path("runs/adversary"))
    parser.add_argument("--rows", type=Path, default=FINISHED, help="Folder of finished rows.")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--table", action="store_true", help="Print the table alone.")
    parser.add_argument("--one", nargs=3, metavar=("SET", "ROW", "SEED"), help="Train one row.")
    given = parser.parse_args()
    sources = dict(entry.split("=", 1) for entry in given.data)
    if given.one:
        name, row, seed = given.one
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        recipe = recipe_of(name, row, int(seed), sources.get(name), given.overrides)
        train_row(name, row, recipe, given.output, given.rows)
        return
    if not given.table:
        queue = [
            (name, row, seed)
            for name in given.sets
            for line in given.lines
            for seed in given.seeds
            for row in rows_of(line)
        ]
        work_off(list(dict.fromkeys(queue)), given)
    print(table(given.rows))


def rows_of(line: str) -> list[str]:
    """Names of the rows of a line, or the one that is named, with random deformation first.

    Raises:
        SystemExit: There is no such line.
    """
    rows = [name for name, row in ROWS.items() if line and row.line == line]
    if not rows and line.partition("@")[0] in ROWS:
        rows = [line]
    if not rows:
        sys.exit(f"no line {line!r}: 1 to 5, or one of {', '.join(ROWS)}, with @N or without")
    return list(dict.fromkeys([CONTROL, *rows]))


def recipe_of(
    name: str, row: str, seed: int, source: str | None = None, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe of a row on a set.

    Args:
        name: One of `SETS`.
        row: One of `ROWS`; with `@N` it has N joint epochs.
        seed: Of split, batches and weights.
        source: Where the images are, if not where the recipe says.
        overrides: Of all rows.
    """
    base, joint = row.partition("@")[::2]
    trial = SETS[name]
    more = [f"data.source={json.dumps(source)}"] if source else []
    more += [f"train.joint={joint}"] if joint else []
    split = ("data.protocol=n-per-class", f"data.query_per_class={trial.queries}")
    changes = (*split, *trial.changes, *ROWS[base].changes, *overrides, *more, f"seed={seed}")
    return load_recipe(trial.recipe, changes)


def work_off(queue: list[tuple[str, str, int]], given: argparse.Namespace) -> None:
    """Train what is not finished, each in a process of its own.

    Args:
        queue: Set, row and seed of each training.
        given: The command line.

    Raises:
        subprocess.CalledProcessError: A training failed; those not begun are left.
    """
    shared = ["--output", given.output, "--rows", given.rows]
    shared += ["--data", *given.data, "--set", *given.overrides]

    def one(job: tuple[str, str, int]) -> None:
        if row_path(given.rows, *job).is_file():
            return
        print("{} {} {}".format(*job), flush=True)
        command = [sys.executable, __file__, "--one", *job, *shared]
        subprocess.run([str(word) for word in command], check=True)
        print(table(given.rows), flush=True)

    with ThreadPoolExecutor(given.jobs) as pool:
        running = [pool.submit(one, job) for job in queue]
        try:
            for future in running:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def row_path(rows: Path, name: str, row: str, seed: int) -> Path:
    """The file of a finished row."""
    return rows / f"{name}-{row}-{seed}.json"


def train_row(name: str, row: str, recipe: Recipe, output: Path, rows: Path) -> None:
    """Train, or go on, and measure; then write the finished row.

    Raises:
        RunError: The folder of the run holds another one.
    """
    images = load_images(recipe.data.source, recipe.data.labels).images
    images = development(images, SETS[name].kept_back)
    recipe = resolve(recipe, images)
    folder = output / f"{name}-{row}-{recipe.seed}"
    resumed = (folder / "recipe.yaml").is_file()
    if resumed:
        run = Run.open(folder)
        if run.recipe != recipe:
            raise RunError(f"{folder} holds a run of another recipe: name another --output")
    else:
        run = Run.create(folder)
        build_split(recipe, images).save(run.split_path)
        recipe.save(run.recipe_path)
    began = time.process_time()
    train(run, images, kind=paired(ROWS[row.partition("@")[0]].kind))
    spent = time.process_time() - began
    report = evaluate(run, images)
    result = {
        "set": name,
        "row": row,
        "seed": recipe.seed,
        "map": round(report["retrieval"]["map_tie_aware"], 6),
        "validation_map": round(report["validation_map"], 6),
        "selected_epoch": report["selected_epoch"],
        "joint": recipe.train.joint,
        "last_epoch": last_epoch(run),
        "seconds": report["training_seconds"],
        "processor_seconds": None if resumed else round(spent, 1),
        "protocol": report["protocol"],
        "machine": machine(),
        "date": date.today().isoformat(),
    }
    path = row_path(rows, name, row, recipe.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{json.dumps(result, indent=1)}\n".encode())


def last_epoch(run: Run) -> dict[str, float]:
    """The terms of the last epoch, as they were logged."""
    left_out = ("epoch", "seconds", "stage")
    return {k: round(v, 4) for k, v in run.history[-1].items() if k not in left_out}


def development(images: ImageSet, kept_back: int) -> ImageSet:
    """A set without the images that its final numbers are measured on.

    These are its official queries, or else `kept_back` of each class, the same ones always.
    """
    if images.official_queries:
        query = images.positions(images.official_queries)
    else:
        order = np.random.default_rng(0).permutation(len(images))
        query = draw_queries(images, order, kept_back, as_available=False)
    kept = np.setdiff1d(np.arange(len(images)), query)

    def of(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[position] for position in kept)

    return replace(
        images,
        name=f"{images.name} without its queries",
        ids=of(images.ids),
        labels=images.labels[kept],
        digests=of(images.digests),
        pixels=None if images.pixels is None else images.pixels[kept],
        files=None if images.files is None else of(images.files),
        official_queries=(),
    )


def table(rows: Path) -> str:
    """Markdown of the finished rows: means, and paired differences with 95 % t intervals.

    Seeds of the screen and the others are apart; then all together, where there are others. A row
    is compared with random deformation, as many steps and as long, with its own control, and with
    FreeMatch, by the seeds that both have.
    """
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = defaultdict(dict)
    for path in sorted(rows.glob("*.json")):
        row = json.loads(path.read_bytes())
        for part in ("screen" if row["seed"] in SCREEN else "further seeds", "all seeds"):
            found[row["set"], part].setdefault(row["row"], {})[row["seed"]] = row["map"]
    lines = []
    for (name, part), values in sorted(found.items(), reverse=True):
        further = found.get((name, "further seeds"), {})
        if part == "all seeds":
            values = {row: seeds for row, seeds in values.items() if row in further}
            if not values:
                continue
        lines += [f"{name}, {part}", "", "| row | seeds | mAP@all | less | difference | 95 % |"]
        lines += ["|---|---|---|---|---|---|"]
        for row in sorted(values, key=lambda row: [*ROWS].index(row.partition("@")[0])):
            each = [value for _, value in sorted(values[row].items())]
            spread = f" ± {np.std(each, ddof=1):.4f}" if len(each) > 1 else ""
            start = f"| {row} | {len(each)} | {np.mean(each):.4f}{spread} |"
            lines += [f"{start} {text}" for text in compared(row, values)] or [f"{start} | | |"]
        lines.append("")
    return "\n".join(lines)


def compared(row: str, values: dict[str, dict[int, float]]) -> list[str]:
    """The last cells of the lines of a row: what it is compared with, difference and interval."""
    of_row = ROWS[row.partition("@")[0]]
    others = (CONTROL, of_row.as_long, of_row.control, "freematch")
    cells = []
    for other in dict.fromkeys(others) if row != CONTROL else ():
        seeds = sorted(values[row].keys() & values.get(other, {}).keys())
        if other != row and seeds:
            pairs = [[values[name][seed] for seed in seeds] for name in (row, other)]
            difference = paired_difference(*pairs)
            fewer = "" if len(seeds) == len(values[row]) else f", {len(seeds)} seeds"
            cells.append(f"{other}{fewer} | {difference.text} | {difference.interval_text} |")
    return cells


if __name__ == "__main__":
    main()
