"""Runs a grid of image sets, numbers of labels, code lengths, methods and seeds; tables and curves.

    python benchmarks/quality/run.py [--only fashion] [--data cub100-frozen=DIR] [--labels 10 100]
                                     [--bits 48] [--methods "full method"] [--seeds 0]
                                     [--output runs/quality]

Killed at any moment, the same command goes on: each run lies in a folder of its own and resumes at
its last epoch, each result in a JSON file that is whole or not there. The queries take no part in
any choice. `results.json`, `results.md` and `results.png` are made anew after each run, of what is
there.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from hashlib import sha256
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import yaml
from crovca import CLASS, VIEWS, SecondView, of_its_class, train_crovca
from page import write_page
from summary import as_text, summarise

from ssah_tf.data import load_images
from ssah_tf.metrics import RetrievalResult, evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.training.ablation import one
from ssah_tf.training.build import build_backbone, build_split
from ssah_tf.training.hash_layer.features import features_of, sample_of
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.itq import begin_with_itq
from ssah_tf.training.machine import machine
from ssah_tf.training.recipe import Recipe, load_recipe

GRID = Path(__file__).with_name("grid.yaml")
#: The results of all runs; each run has a file of its own beside it.
RESULTS = "results.json"


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
            run = partial(one_on_features, method) if spec.get("features") else one
            if keep(given.output, name, labels, method, recipe, run):
                write_results(given.output)
    write_results(given.output)


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


def one_on_features(method: str, recipe: Recipe, folder: Path) -> dict:
    """What `ssah train frozen` or CroVCA would reach, on features that all runs share.

    Args:
        method: As the grid calls it.
        recipe: A recipe with `train.cached_features`.
        folder: Would be the run's; the features of all images are kept beside it.

    Returns:
        As the report of a run. There is no validation: all labels are trained on, as in the second
        training of `ssah_tf.training.hash_layer.frozen.train_on_frozen_backbone`.
    """
    images = images_of(recipe.data.source, recipe.data.labels)
    split = build_split(recipe, images)
    everything = np.arange(len(images))
    features = cached_features(recipe, images, split, everything, folder.parent)
    known = images.positions(split.labelled + split.validation)
    rest, query, database = map(images.positions, (split.unlabelled, split.query, split.database))
    labels = images.labels[known]
    positions = np.concatenate([known, sample_of(rest, recipe.train.most_unlabelled)])
    if method.startswith(VIEWS):
        positions.sort()  # no labels: one file does for all numbers of them
        second = cached_features(recipe, images, split, positions, folder.parent, SecondView)
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    began = time.monotonic()
    if method.startswith(VIEWS):
        hnet = train_crovca(recipe, features[positions], lambda rng: second)
    elif method.startswith(CLASS):
        seen = features[known]
        hnet = train_crovca(recipe, seen, lambda rng: seen[of_its_class(labels, rng)])
    else:
        hnet = train_recipe(recipe, features[positions], labels)
    seconds = time.monotonic() - began
    return {
        "retrieval": retrieval(hnet, features, images.labels, query, database).to_dict(),
        "validation_map": None,
        "training_seconds": round(seconds, 1),
        "protocol": f"{split.protocol}; {hnet.bits} bits; training seed {recipe.seed}",
    }


def train_recipe(recipe: Recipe, features: np.ndarray, labels: np.ndarray) -> HNet:
    """The hash layer that a recipe makes on features.

    Args:
        recipe: See `one_on_features`.
        features: float32 `(n, d)`, of the labelled images first.
        labels: Of the labelled images, uint8 `(labelled, classes)`.
    """
    hnet = HNet(CachedFeatures(features.shape[1]), recipe.model.bits)
    hnet.build((None, features.shape[1]))
    if recipe.train.joint:
        train_on_features(hnet, recipe, features, labels)
    else:
        begin_with_itq(hnet, features, recipe.seed)
    return hnet


def retrieval(
    hnet: HNet, features: np.ndarray, labels: np.ndarray, query: np.ndarray, database: np.ndarray
) -> RetrievalResult:
    """What a hash layer reaches on features.

    Args:
        hnet: The hash layer.
        features: Of all images, float32 `(images, d)`.
        labels: Theirs, `(images, classes)`.
        query: Positions of the queries.
        database: Positions of what is searched.
    """
    codes = [hnet.encode([features[part]]) for part in (query, database)]
    return evaluate_retrieval(
        codes[0], labels[query], codes[1], labels[database], hnet.bits, cutoffs=(), n_bootstrap=0
    )


@lru_cache(maxsize=1)
def images_of(source: str, labels: str | None):
    """The images of a folder, scanned once."""
    return load_images(source, labels).images


def cached_features(
    recipe: Recipe,
    images,
    split,
    positions: np.ndarray,
    output: Path,
    view: Callable[[Backbone], keras.layers.Layer] | None = None,
) -> np.ndarray:
    """Features by a frozen backbone, float32 `(positions, features)`, kept as a file.

    The file is named by what it depends on, so that no other set or network is taken for this one.

    Args:
        recipe: Backbone and image size.
        images: The image set.
        split: Its parts.
        positions: Of the images.
        output: Folder of the file.
        view: Makes of the backbone a layer that sees changed images; as they are by default.
    """
    size = recipe.data.image_size
    digests = [images.digests[position] for position in positions]
    origin = [recipe.model.backbone, recipe.model.options, size, digests]
    name = "features" if view is None else view.__name__
    path = output / f"{name}-{sha256(json.dumps(origin).encode()).hexdigest()[:16]}.npy"
    if not path.is_file():
        backbone = build_backbone(recipe, images, split)
        hnet = HNet(backbone if view is None else view(backbone), 1)
        hnet.build((None, size, size, 3))
        with atomic_path(path) as temporary:
            np.save(temporary, features_of(hnet, images, positions, size))
    return np.load(path, mmap_mode="r", allow_pickle=False)


def write_results(output: Path) -> None:
    """`results.json` of the runs that are there, and its page and curves."""
    kept = sorted(path for path in output.glob("*.json") if path.name != RESULTS)
    summary = summarise([json.loads(path.read_bytes()) for path in kept])
    write_atomically(output / RESULTS, as_text(summary).encode())
    write_page(summary, (output / RESULTS).with_suffix(".md"))


if __name__ == "__main__":
    main()
