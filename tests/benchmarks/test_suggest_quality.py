"""The harness of suggestions: whose labels are taken."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "quality"


@pytest.fixture(scope="module")
def harness():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("suggest_harness", FOLDER / "suggest.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
        for name in ("run", "page", "summary"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def photos():
    """Features around one direction a class, their labels and digests: 120, 60 and 20 photos."""
    rng = np.random.default_rng(0)
    which = rng.permutation(np.repeat([0, 1, 2], [120, 60, 20]))
    features = np.abs(np.eye(16)[which] + 0.02 * rng.normal(size=(200, 16))).astype(np.float32)
    return features, np.eye(3, dtype=np.uint8)[which], [f"{i:064x}" for i in range(200)]


def test_random_is_a_part_of_a_larger_one(harness, photos):
    few, many = (harness.choose("random", *photos, count, 1) for count in (5, 50))
    np.testing.assert_array_equal(few, many[:5])
    same = harness.choose("random, supervised only", *photos, 5, 1)
    np.testing.assert_array_equal(few, same)
    assert set(few) != set(harness.choose("random", *photos, 5, 2))


def test_balanced_takes_as_many_of_each(harness, photos):
    chosen = harness.choose("balanced", *photos, 30, 0)
    assert len(set(chosen)) == 30
    assert photos[1][chosen].sum(axis=0).tolist() == [10, 10, 10]


@pytest.mark.parametrize("way", ["suggested", "suggested in rounds"])
def test_suggestions(harness, photos, way, monkeypatch):
    """In rounds, what is chosen depends on the labels of the rounds before."""
    monkeypatch.setattr(harness, "ROUND", 4)
    asked = []
    real = harness.suggest

    def noted(features, labels, digests, count):
        asked.append((int(labels.sum()), count))
        return real(features, labels, digests, count)

    monkeypatch.setattr(harness, "suggest", noted)
    chosen = harness.choose(way, *photos, 10, 0)
    assert len(set(chosen)) == 10
    assert photos[1][chosen].any(axis=0).all()
    assert asked == ([(0, 10)] if way == "suggested" else [(0, 4), (4, 4), (8, 2)])
