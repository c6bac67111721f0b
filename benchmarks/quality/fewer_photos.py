"""Measures what fewer unlabelled images cost the recipe `frozen`, on training images alone.

    python benchmarks/quality/fewer_photos.py [--sets fashion birds=DIR ...] [--seeds 0 1]
                                              [--output runs/fewer-photos]

Features are computed once and kept. Official queries are left out; a seed draws development
queries and labels of each class, as `SETS` says. All other images are searched, and some of those
without a label train the hash layer, spread evenly. One line of JSON a training.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from run import cached_features, images_of, retrieval, train_recipe

from ssah_tf.data import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.training.build import build_split
from ssah_tf.training.recipe import load_recipe

#: Set -> side in pixels, labels and development queries a class, numbers of unlabelled images.
SETS = {
    "fashion": (224, 5, 50, (500, 1250, 2500, 4000)),
    "birds": (224, 3, 5, (500, 1000, 2000)),
    "cifar10": (96, 5, 50, (2500, 5000, 10_000, 20_000)),
    "tiny": (160, 5, 10, (2500, 5000, 10_000, 17_500)),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=["fashion"], metavar="SET[=DIR]")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--output", type=Path, default=Path("runs/fewer-photos"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for entry in given.sets:
            name, _, folder = entry.partition("=")
            measure(name, folder or name, seed, given.output)


def measure(name: str, source: str, seed: int, output: Path) -> None:
    """All numbers of unlabelled images of a set, with one seed."""
    side, labels, queries, numbers = SETS[name]
    changes = (f"data.source={json.dumps(source)}", f"data.image_size={side}", "model.bits=48")
    recipe = load_recipe("frozen", (*changes, "data.protocol=n-per-class", f"seed={seed}"))
    images = images_of(source, None)
    everything = np.arange(len(images))
    features = cached_features(recipe, images, build_split(recipe, images), everything, output)
    query, known, rest = development(images, queries, labels, seed)
    database = np.concatenate([known, rest])
    for number in numbers:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        seen = np.concatenate([known, evenly(rest, number)])
        hnet = train_recipe(recipe, features[seen], images.labels[known])
        found = retrieval(hnet, features, images.labels, query, database)
        row = {"set": name, "seed": seed, "labels": labels, "unlabelled": len(seen) - len(known)}
        print(json.dumps({**row, "map": round(found.map_tie_aware, 4)}), flush=True)


def development(
    images: ImageSet, queries: int, labels: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of queries, of labelled and of all other images; official queries are none."""
    kept = np.setdiff1d(np.arange(len(images)), images.positions(images.official_queries))
    order = np.random.default_rng(seed).permutation(kept)
    classes = [order[images.labels[order, c] > 0] for c in range(len(images.classes))]
    query = np.concatenate([of[:queries] for of in classes])
    known = np.concatenate([of[queries : queries + labels] for of in classes])
    return query, known, np.setdiff1d(kept, np.concatenate([query, known]))


if __name__ == "__main__":
    main()
