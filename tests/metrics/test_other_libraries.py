"""What other libraries print: by hand, by every order of ties, and by the libraries themselves."""

import json
import subprocess
import sys
import textwrap
from itertools import combinations

import numpy as np
import pytest

from ssah_tf.metrics import LabelLists, evaluate_retrieval
from ssah_tf.metrics.other_libraries import LIBRARIES, map_as, of_ranks, range_over_ties
from ssah_tf.metrics.retrieval import database_order

#: Ranks of the comparison with the libraries.
CUTOFFS = (10, 100)


def orders(counts, relevant):
    """Ranks of the relevant images in every order of the ties."""
    found, start = [()], 0
    for n, r in zip(counts, relevant, strict=True):
        some = [tuple(start + 1 + p for p in places) for places in combinations(range(n), r)]
        found = [ranks + more for ranks in found for more in some]
        start += n
    return [np.array(ranks, np.int64) for ranks in found]


def at_distances(distances, bits=8):
    return np.packbits(np.arange(bits) < np.asarray(distances)[:, None], axis=1)


@pytest.fixture
def four():
    """Query 0 sees distances 0 1 1 2 with relevance 1 0 1 1; nothing is relevant to query 1."""
    return (
        at_distances([0, 0]),
        LabelLists.of(np.eye(3, dtype=np.uint8)[[0, 2]]),
        at_distances([0, 1, 1, 2]),
        LabelLists.of(np.eye(3, dtype=np.uint8)[[0, 1, 0, 0]]),
        8,
    )


@pytest.mark.parametrize(
    ("name", "whole", "at_2"),
    [
        ("scikit-learn", (1 + 2 / 3 + 3 / 4) / 3 / 2, None),  # the tie is read at its end
        ("trec_eval", (1 + 1 + 3 / 4) / 3 / 2, 2 / 3 / 2),  # in reversed order: 1 1 0 1
        ("pytorch-metric-learning", (1 + 2 / 3 + 3 / 4) / 3, 1 / 3),  # one query is left out
        ("tensorflow-similarity", (1 + 2 / 3 + 3 / 4) / 3 / 2, 1 / 3 / 2),
        ("ranx", [29 / 36 / 2, 33 / 36 / 2], [1 / 3 / 2, 2 / 3 / 2]),
        ("torchmetrics", [29 / 36 / 2, 33 / 36 / 2], [1 / 2, 1 / 2]),
        ("research-loop", [29 / 36 / 2, 33 / 36 / 2], [1 / 2, 1 / 2]),
    ],
)
def test_by_hand(four, name, whole, at_2):
    found = map_as(LIBRARIES[name], *four, (2,))
    for k, expected in ((None, whole), (2, at_2)):
        assert (k in found) == (expected is not None)
        if expected is not None:
            assert found[k] == pytest.approx(
                expected if isinstance(expected, list) else [expected] * 2
            )


def test_every_library_is_tried_by_hand():
    tried = {case[0] for case in test_by_hand.pytestmark[0].args[1]}
    assert tried == set(LIBRARIES)


@pytest.mark.parametrize("divisor", ["relevant", "hits"])
def test_range_is_that_of_all_orders_of_ties(rng, divisor):
    for _ in range(40):
        counts = rng.integers(0, 5, 4)
        counts[0] += 1
        relevant = rng.integers(0, counts + 1)
        every = orders(counts.tolist(), relevant.tolist())
        for k in (None, 1, 2, 3, 5, 8, 100):
            values = [of_ranks(ranks, k, divisor) for ranks in every]
            low, high = range_over_ties(counts, relevant, k, divisor)
            assert (low, high) == pytest.approx((min(values), max(values)), abs=1e-12)


def test_no_query_counts():
    codes, labels = at_distances([0]), LabelLists.of(np.eye(2, dtype=np.uint8)[:1])
    other = LabelLists.of(np.eye(2, dtype=np.uint8)[1:])
    found = map_as(LIBRARIES["pytorch-metric-learning"], codes, labels, codes, other, 8, (1,))
    assert found == {None: (0, 0), 1: (0, 0)}


def test_sorted_numbers_are_those_of_the_database_in_their_order(clustered):
    """`map_sorted` is tensorflow-similarity's mAP of the shuffled database, inside every range."""
    query, query_labels, database, labels, bits = clustered
    order = database_order(len(database), 0)
    result = evaluate_retrieval(query, query_labels, database, labels, bits, cutoffs=CUTOFFS)
    shuffled = query, query_labels, database[order], labels.take(order), bits
    found = map_as(LIBRARIES["tensorflow-similarity"], *shuffled, CUTOFFS)
    assert found[None][0] == pytest.approx(result.map_sorted, abs=1e-12)
    found = map_as(LIBRARIES["research-loop"], *clustered, CUTOFFS)
    for k, value in ((None, result.map_sorted), *result.map_sorted_by_hits_at_k.items()):
        assert found[k][0] < value < found[k][1]


@pytest.fixture
def clustered(rng):
    """12-bit codes near ten centres, in class order; the last query has nothing relevant."""
    centres = rng.integers(0, 2, (11, 12), np.uint8)
    classes = np.append(rng.integers(0, 10, 49), 10), np.sort(rng.integers(0, 10, 600))
    codes = [
        np.packbits(centres[part] ^ (rng.random((len(part), 12)) < 0.25), axis=1)
        for part in classes
    ]
    labels = [LabelLists.of(np.eye(11, dtype=np.uint8)[part]) for part in classes]
    return codes[0], labels[0], codes[1], labels[1], 12


#: What is installed, and a program that reads distances `(q, n)`, the class of each query and
#: image, and the cut-offs, and prints mAP of all, then mAP@k.
REAL = {
    "scikit-learn": (
        ["scikit-learn==1.9.1"],
        """
        from sklearn.metrics import average_precision_score
        print(np.mean([average_precision_score(r, -d) for r, d in zip(relevant, distances)]))
        """,
    ),
    "ranx": (
        ["ranx==0.3.21"],
        """
        from ranx import Qrels, Run, evaluate
        names = [f"d{i:05d}" for i in range(distances.shape[1])]
        qrels = {f"q{q:03d}": {n: 1 for n, r in zip(names, row) if r} for q, row in
                 enumerate(relevant) if row.any()}
        run = {f"q{q:03d}": {n: -float(d) for n, d in zip(names, row)} for q, row in
               enumerate(distances) if relevant[q].any()}
        share = len(run) / len(relevant)  # it takes no query without a relevant image
        for measure in ("map", *(f"map@{k}" for k in cutoffs)):
            print(evaluate(Qrels(qrels), Run(run), measure) * share)
        """,
    ),
    "trec_eval": (
        ["pytrec_eval-terrier==0.5.11"],
        """
        import pytrec_eval
        names = [f"{i:05d}" for i in range(distances.shape[1])]
        qrels = {str(q): {n: int(r) for n, r in zip(names, row)} for q, row in enumerate(relevant)}
        run = {str(q): {n: -float(d) for n, d in zip(names, row)} for q, row in
               enumerate(distances)}
        cut = "map_cut." + ",".join(map(str, cutoffs))
        found = pytrec_eval.RelevanceEvaluator(qrels, {"map", cut}).evaluate(run).values()
        for measure in ("map", *(f"map_cut_{k}" for k in cutoffs)):
            print(np.mean([one[measure] for one in found]))
        """,
    ),
    "pytorch-metric-learning": (
        ["torch==2.13.0", "pytorch-metric-learning==2.9.0"],
        """
        import torch
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
        def sorted_neighbours(query, k, reference, ref_includes_query=False):
            near, order = torch.sort(query, dim=1, stable=True)
            return near[:, :k], order[:, :k]
        for k in (None, *cutoffs):
            calculator = AccuracyCalculator(
                include=("mean_average_precision",), k=k, knn_func=sorted_neighbours,
                device=torch.device("cpu"),
            )
            found = calculator.get_accuracy(
                torch.tensor(distances, dtype=torch.float32), torch.tensor(query_classes),
                torch.zeros(distances.shape[1], 1), torch.tensor(classes),
            )
            print(found["mean_average_precision"])
        """,
    ),
    # It asks for an older TensorFlow: its metric is run with ours, without the rest of the package.
    "tensorflow-similarity": (
        ["--no-deps", "tensorflow-similarity==0.17.1"],
        """
        import importlib.util, types
        package = types.ModuleType("tensorflow_similarity")
        package.__path__ = importlib.util.find_spec(package.__name__).submodule_search_locations
        sys.modules[package.__name__] = package
        import tensorflow as tf
        from tensorflow_similarity.retrieval_metrics import MapAtK
        tf.keras.backend.set_floatx("float64")
        near = np.argsort(distances, axis=1, kind="stable")
        match = tf.constant(np.take_along_axis(relevant, near, axis=1))
        counts = {int(one): int((classes == one).sum()) for one in np.unique(query_classes)}
        for k in (len(classes), *cutoffs):
            measure = MapAtK(r=counts, k=k)
            found = measure.compute(query_labels=tf.constant(query_classes), match_mask=match)
            print(float(found))
        """,
    ),
    "torchmetrics": (
        ["torch==2.13.0", "torchmetrics==1.9.0"],
        """
        import torch
        from torchmetrics.retrieval import RetrievalMAP
        scores = torch.tensor(bits + 1.0 - distances)
        rows = torch.arange(len(scores))[:, None].expand(scores.shape)
        for k in (None, *cutoffs):
            measure = RetrievalMAP(top_k=k)
            print(float(measure(scores.ravel(), torch.tensor(relevant).ravel(), rows.ravel())))
        """,
    ),
}
READ = """
import json, sys
import numpy as np
given = json.load(sys.stdin)
distances, bits, cutoffs = np.array(given["distances"]), given["bits"], given["cutoffs"]
query_classes, classes = np.array(given["query_classes"]), np.array(given["classes"])
relevant = query_classes[:, None] == classes[None]
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_library_itself_prints_this(name, clustered, environment_of, tmp_path, monkeypatch):
    packages, program = REAL[name]
    if packages[0] == "--no-deps":  # it stands beside what is here
        python = sys.executable
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *packages, "--target", tmp_path], check=True)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    else:
        python = environment_of(*packages)
    query, query_labels, database, labels, bits = clustered
    apart = np.unpackbits(query[:, None] ^ database[None], axis=2).sum(axis=2)
    given = {
        "distances": apart.tolist(),
        "bits": bits,
        "cutoffs": CUTOFFS,
        "query_classes": query_labels.columns.tolist(),
        "classes": labels.columns.tolist(),
    }
    done = subprocess.run(
        [python, "-c", READ + textwrap.dedent(program)],
        input=json.dumps(given), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    printed = [float(line) for line in done.stdout.split()]
    found = list(map_as(LIBRARIES[name], *clustered, CUTOFFS).values())
    assert len(printed) == len(found)
    for value, (low, high) in zip(printed, found, strict=True):
        assert low - 1e-6 <= value <= high + 1e-6
        assert high - low < 1e-12 or LIBRARIES[name].ties == "any"
