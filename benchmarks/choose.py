"""What `ssah train --data DIR` chooses, beside what each candidate reaches on queries it never saw.

    python benchmarks/choose.py DIR --labels 3 [--budget 10m] [--seed 0] [--images 5000]
                                [--set model.bits=48] --output runs/choose-birds-3

DIR holds `train/<class>/` and `test/<class>/`, all with labels. Beside the output a folder is made
that shows the product so many labels a class; the other training images lie in `train/unlabelled`.
Each candidate of the run is then measured: mAP@all of the images of `test` against all of `train`,
by the labels that were hidden. Prints one line of JSON. Where the run is there, it is judged only.

DIR may also hold `photos/` and `labels.csv`, as mosaics.py writes them. Then `--queries` of them
(1,000 by default) are kept from the product altogether, and it gets the others with a label file.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ssah_tf.data import ImageSet, load_images
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.training.choose.record import read_record
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.features import full_codes_of
from ssah_tf.training.run import Run

#: Images, their labels `(images, classes)`, and whether each is a query.
Truth = tuple[ImageSet, np.ndarray, np.ndarray]
#: Name of a label file.
TABLE = "labels.csv"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, required=True, help="Labels a class.")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, help="Training images that are taken, at most.")
    parser.add_argument("--queries", type=int, help="Queries that are taken, at most.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    shown = given.output.with_name(f"{given.output.name}-photos")
    table = given.folder / TABLE
    hide = hide_rows if table.is_file() else hide_labels
    images, labels, query = hide(given.folder, shown, given)
    words = [sys.executable, "-m", "ssah_tf.cli", "train", "--data", shown]
    if table.is_file():
        words += ["--labels", shown / TABLE]
    words += ["--budget", given.budget, "--output", given.output]
    for change in (f"seed={given.seed}", *given.set):
        words += ["--set", change]
    if not (given.output / "metrics.json").is_file():
        subprocess.run([str(word) for word in words], check=True)
    store = FeatureStore(given.output.parent / "features")
    report = judge(given.output, images, labels, query, store)
    print(json.dumps(report))


def hide_labels(folder: Path, shown: Path, given: argparse.Namespace) -> Truth:
    """Make a folder of links that shows some labels only.

    Returns:
        The images of the new folder, all their labels, and which are queries.
    """
    shutil.rmtree(shown, ignore_errors=True)
    rng = np.random.default_rng(given.seed)
    truth = {}
    for part, most in (("train", given.images), ("test", given.queries)):
        classes = sorted(path for path in (folder / part).iterdir() if path.is_dir())
        for of_class in classes:
            files = sorted(of_class.iterdir())
            order = rng.permutation(len(files))[: most and most // len(classes)]
            for place, number in enumerate(order):
                file = files[number]
                known = part == "test" or place < given.labels
                name = f"{of_class.name if known else 'unlabelled'}/{of_class.name}-{file.name}"
                link = shown / part / name
                link.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, link)
                truth[f"{part}/{name}"] = of_class.name
    images = load_images(str(shown)).images
    classes = {name: column for column, name in enumerate(sorted(set(truth.values())))}
    labels = np.zeros((len(images), len(classes)), np.uint8)
    labels[np.arange(len(images)), [classes[truth[name]] for name in images.ids]] = 1
    return images, labels, np.array([name.startswith("test/") for name in images.ids])


def hide_rows(folder: Path, shown: Path, given: argparse.Namespace) -> Truth:
    """Make a folder of links without queries, and a label file that labels some.

    Returns:
        The images of the whole folder, all their labels, and which are queries.
    """
    shutil.rmtree(shown, ignore_errors=True)
    shown.mkdir(parents=True)
    images = load_images(str(folder / "photos"), str(folder / TABLE)).images
    rng = np.random.default_rng(given.seed)
    order = rng.permutation(len(images))
    queries = given.queries or 1000
    query = np.isin(np.arange(len(images)), order[:queries])
    trained = order[queries:][: given.images]
    known = {p for c in images.labels.T for p in trained[c[trained] > 0][: given.labels]}
    rows = ["path,label"]
    for position in trained:
        name = images.ids[position]
        os.link(folder / "photos" / name, shown / name)
        classes = np.flatnonzero(images.labels[position]) if position in known else ()
        rows.append(f"{name},{';'.join(images.classes[c] for c in classes)}")
    (shown / TABLE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return images, images.labels, query


def judge(
    folder: Path, images: ImageSet, labels: np.ndarray, query: np.ndarray, store: FeatureStore
) -> dict:
    """What was chosen, and mAP@all of each candidate on the queries."""
    record = read_record(Run(folder))
    rows = {}
    for result in record.results:
        mine = result.name == record.chosen
        run = Run(folder if mine else folder / "candidates" / result.name)
        rows[result.name] = {
            "query_map": round(query_map(run, images, labels, query, store), 4),
            "validation_map": round(result.validation_map, 4),
            "validation_error": round(result.validation_error, 4),
            "size": run.recipe.data.image_size,
            "share": result.share,
            "seconds": round(result.seconds),
            "planned": next(round(p.seconds) for p in record.planned if p.name == result.name),
        }
    return {
        "output": folder.name,
        "budget": record.budget,
        "spent": round(record.spent),
        "features": round(record.features),
        "evaluation": round(record.evaluation),
        "enough": record.enough,
        "chosen": record.chosen,
        "why": record.why,
        "candidates": rows,
        "left_out": {part.name: part.why for part in record.left_out},
    }


def query_map(
    run: Run, images: ImageSet, labels: np.ndarray, query: np.ndarray, store: FeatureStore
) -> float:
    """Tie-aware mAP@all of the queries against all other images.

    Features of frozen backbones are kept, for other candidates and cases.
    """
    encoder, size = run.encoder(), run.recipe.data.image_size
    parts = (np.flatnonzero(query), np.flatnonzero(~query))
    if run.recipe.train.cached_features:
        full = [encoder.codes_of_features(store(encoder, images, part, size)) for part in parts]
    else:
        full = full_codes_of(encoder, images, parts, size)
    queries, database = (codes[:, : code_bytes(encoder.bits)] for codes in full)
    return evaluate_retrieval(
        queries, labels[query], database, labels[~query], encoder.bits, cutoffs=(), n_bootstrap=0
    ).map_tie_aware


if __name__ == "__main__":
    main()
