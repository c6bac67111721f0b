"""What the order by appearance is worth: trained on coarse labels, judged by fine ones.

    python benchmarks/quality/appearance.py FOLDER|FOLDER,LABELS|fashion|FEATURES.npz
        [--seeds 0 1 2] [--size 224] [--set data.protocol=n-per-class] [--output runs/appearance]

The coarse class of a bird is the last word of its name (all warblers are one), that of a garment is
tops, shoes or others, that of a part of a mosaic animals or vehicles. Relevant is what shares a
label. The hash layer of the recipe `frozen` learns the coarse labels of all images
but the queries; the appearance layer learns from the same images without labels. Queries are those
whose coarse class has at least two fine ones.

Every number is the expectation over random orders of what is still tied: P@10 of the fine labels,
and mAP of the coarse labels, by (distance) and by (distance, appearance distance). Features are
computed once and kept in the output folder; or given as a file with `features`, `labels`, `classes`
and `query`. Prints a table, and one line of JSON at the end.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from run import cached_features

from ssah_tf.data import load_images
from ssah_tf.metrics.hamming import code_bytes, hamming_distances
from ssah_tf.metrics.tie_aware import tie_aware_average_precision, tie_aware_precision
from ssah_tf.models import HNet
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.build import build_split
from ssah_tf.training.hash_layer.appearance import with_appearance
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.machine import machine
from ssah_tf.training.recipe import load_recipe

#: Coarse classes of garments and of the parts of mosaics.
COARSE = {
    "tops": ("T-shirt", "pullover", "dress", "coat", "shirt"),
    "shoes": ("sandal", "sneaker", "ankle boot"),
    "others": ("trouser", "bag"),
    "animals": ("bird", "cat", "deer", "dog", "frog", "horse"),
    "vehicles": ("airplane", "automobile", "ship", "truck"),
}
#: Neighbours that are judged, and queries that are compared at a time.
K, CHUNK = 10, 200


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--bits", type=int, default=48)
    parser.add_argument("--size", type=int, default=224, help="Side of the images in pixels.")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, default=Path("runs/appearance"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    features, fine, names, query = load(given)
    of_class = np.eye(len(names), dtype=np.uint8)[
        np.unique([coarse_of(name) for name in names], return_inverse=True)[1]
    ]
    coarse = fine @ of_class > 0
    several = coarse @ (of_class.sum(axis=0) > 1) > 0
    rows = []
    for seed in given.seeds:
        codes, looks, bits = encode(given, features, coarse, ~query, seed)
        queries, database = np.flatnonzero(query & several), np.flatnonzero(~query)
        rows.append(
            {
                "seed": seed,
                "appearance_bits": bits,
                "queries": len(queries),
                "database": len(database),
                **judged(codes, looks, fine, coarse, queries, database),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if "@" in key}
    print(json.dumps({"source": given.source, "machine": machine(), "mean": mean, "rows": rows}))


def load(given) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Features, fine labels (images, classes), their names, and which images are queries."""
    if given.source.endswith(".npz"):
        arrays = read_arrays(Path(given.source))
        names = list(map(str, arrays["classes"]))
        return arrays["features"], arrays["labels"], names, arrays["query"]
    source, _, table = given.source.partition(",")
    recipe = recipe_of(given, 0, f"data.source={json.dumps(source)}")
    images = load_images(source, table or None).images
    split = build_split(recipe, images)
    features = np.asarray(
        cached_features(recipe, images, split, np.arange(len(images)), given.output)
    )
    query = np.isin(np.arange(len(images)), images.positions(split.query))
    return features, images.labels[np.arange(len(images))], list(images.classes), query


def recipe_of(given, seed: int, *more: str):
    """The recipe `frozen`, changed as the command line asks."""
    changes = (f"model.bits={given.bits}", f"seed={seed}", f"data.image_size={given.size}")
    return load_recipe("frozen", (*changes, *given.overrides, *more))


def coarse_of(name: str) -> str:
    """The coarse class of a fine one."""
    known = [coarse for coarse, fine in COARSE.items() if name in fine]
    return known[0] if known else name.replace(" ", "_").split("_")[-1]


def encode(given, features, coarse, trained, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Codes and appearance codes of all images, and how many bits the latter have."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    hnet = HNet(CachedFeatures(features.shape[1]), given.bits)
    hnet.build((None, features.shape[1]))
    labels = coarse[trained].astype(np.uint8)
    train_on_features(hnet, recipe_of(given, seed), features[trained], labels)
    both = with_appearance(hnet, features[trained], seed)
    full, width = both.full_codes([features]), code_bytes(given.bits)
    return full[:, :width], full[:, width:], both.appearance_bits


def judged(codes, looks, fine, coarse, queries, database) -> dict[str, float]:
    """P@10 of the fine labels and mAP of the coarse ones, in both orders."""
    found: dict[str, list[np.ndarray]] = {}
    for part in np.array_split(queries, -(-len(queries) // CHUNK)):
        far = hamming_distances(codes[part], codes[database]).astype(np.int64)
        near = hamming_distances(looks[part], looks[database])
        for order, key in (
            ("distance", far),
            ("appearance", far * (8 * looks.shape[1] + 1) + near),
        ):
            for name, labels in (("fine P@10", fine), ("coarse mAP@all", coarse)):
                counts = counted(key, labels[part].astype(np.int32) @ labels[database].T > 0)
                score = (
                    tie_aware_precision(*counts, K)
                    if "P@" in name
                    else tie_aware_average_precision(*counts)
                )
                found.setdefault(f"{name}, {order}", []).append(score)
    return {name: float(np.concatenate(parts).mean()) for name, parts in found.items()}


def counted(keys: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images at each distance, and the relevant ones among them, int64 `(q, distances)` each."""
    _, place = np.unique(keys, return_inverse=True)
    place = place.reshape(keys.shape)
    bins = int(place.max()) + 1
    counts = [np.bincount(row, minlength=bins) for row in place]
    relevant = [np.bincount(row[ok], minlength=bins) for row, ok in zip(place, right, strict=True)]
    return np.array(counts), np.array(relevant)


if __name__ == "__main__":
    main()
