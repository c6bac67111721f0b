"""What suggested labels are worth: mAP@all of `frozen` by the number of labels and how chosen.

    python benchmarks/quality/suggest.py --data cub100-frozen-224=DIR [--data fashion-frozen=]
                                         [--labels 1 2 5] [--ways random suggested] [--seeds 0]
                                         [--output runs/suggest]

The sets, recipes and queries are those of the grid; labels are taken from the truth. Numbers of
labels are a class, on average. Killed at any moment, the same command goes on.
"""

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import yaml
from run import GRID, cached_features, images_of, retrieval, train_recipe

from ssah_tf.system.files import write_atomically
from ssah_tf.training.build import build_split
from ssah_tf.training.hash_layer.features import sample_of
from ssah_tf.training.labelling.suggest import suggest
from ssah_tf.training.recipe import load_recipe

#: Ways to choose, and what is changed in the recipe.
WAYS = {
    "random": (),
    "random, supervised only": ("adversary.kind=none",),
    "balanced": (),
    "suggested": (),
    "suggested in rounds": (),
}
#: Photos of a round.
ROUND = 50


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True, metavar="EXPERIMENT=DIR[,LABELS]")
    parser.add_argument("--labels", nargs="*", type=float, default=[1, 2, 5])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/suggest"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for entry in given.data:
            name, _, source = entry.partition("=")
            for way in given.ways:
                for labels in given.labels:
                    one(name, source, way, labels, seed, given.output)
    print_table(given.output)


def one(name: str, source: str, way: str, per_class: float, seed: int, output: Path) -> None:
    """Choose, train and measure, unless the result is there."""
    path = (
        output
        / f"suggest-{name}-{way.replace(', ', '-').replace(' ', '-')}-{per_class:g}-{seed}.json"
    )
    if path.is_file():
        return
    spec = yaml.safe_load(GRID.read_text(encoding="utf-8"))[name]
    where = zip(("data.source", "data.labels"), source.split(","), strict=False)
    changes = [f"{key}={json.dumps(place)}" for key, place in where if place]
    changes += [*spec["overrides"], *WAYS[way], f"seed={seed}", "data.labelled_per_class=2"]
    recipe = load_recipe(spec["recipe"], tuple(changes))
    images = images_of(recipe.data.source, recipe.data.labels)
    split = build_split(recipe, images)
    features = cached_features(recipe, images, split, np.arange(len(images)), output)
    pool = np.sort(images.positions(split.labelled + split.validation + split.unlabelled))
    query, database = map(images.positions, (split.query, split.database))
    count = round(per_class * len(images.classes))
    labels, digests = images.labels[pool], [images.digests[i] for i in pool]
    chosen = choose(way, features[pool], labels, digests, count, seed)
    known, rest = pool[chosen], np.delete(pool, chosen)
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    seen = features[np.concatenate([known, sample_of(rest)])]
    hnet = train_recipe(recipe, seen, images.labels[known])
    found = retrieval(hnet, features, images.labels, query, database)
    result = {
        "set": name,
        "way": way,
        "labels": count,
        "per_class": per_class,
        "classes_seen": int(labels[chosen].any(axis=0).sum()),
        "map": found.map_tie_aware,
        "bits": hnet.bits,
        "seed": seed,
        "queries": len(query),
        "database": len(database),
    }
    print(json.dumps(result), flush=True)
    write_atomically(path, json.dumps(result, indent=1).encode())


def choose(
    way: str,
    features: np.ndarray,
    labels: np.ndarray,
    digests: list[str],
    count: int,
    seed: int,
) -> np.ndarray:
    """Positions of the photos that get their label.

    Args:
        way: See `WAYS`.
        features: Of the photos.
        labels: Theirs, by the truth, multi-hot.
        digests: Of their contents.
        count: How many.
        seed: Of what is drawn.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    if way.startswith("random"):
        return order[:count]
    if way == "balanced":
        return balanced(labels, order, count)
    shown = np.zeros_like(labels)
    chosen: list[int] = []
    while len(chosen) < count:
        at_once = ROUND if "rounds" in way else count
        chosen += suggest(features, shown, digests, min(at_once, count - len(chosen))).tolist()
        shown[chosen] = labels[chosen]
    return np.array(chosen)


def balanced(labels: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Photos of the classes in turns, in a random order."""
    turns = [iter(order[labels[order, c] > 0].tolist()) for c in range(labels.shape[1])]
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        for turn in turns:
            if len(chosen) < count:
                chosen[next(i for i in turn if i not in chosen)] = None
    return np.array([*chosen])


def print_table(output: Path) -> None:
    """Means over the seeds that are there: a row a way and set, a column a number of labels."""
    cells = defaultdict(lambda: defaultdict(list))
    for path in sorted(output.glob("suggest-*.json")):
        result = json.loads(path.read_bytes())
        cells[result["set"], result["way"]][result["per_class"]].append(result["map"])
    columns = sorted({labels for row in cells.values() for labels in row})
    print("| set | labels | " + " | ".join(f"{labels:g} a class" for labels in columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for (name, way), row in sorted(cells.items()):
        shown = [f"{np.mean(row[c]):.3f} ({len(row[c])})" if c in row else "" for c in columns]
        print(f"| {name} | {way} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
