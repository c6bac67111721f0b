"""The cost model: its arithmetic, and that the page shows what it says."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model():
    spec = importlib.util.spec_from_file_location("cost", ROOT / "benchmarks" / "cost_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_line_through_two_points(model):
    line = model.line_through([(100, 7.0), (300, 11.0)])  # 2 a hundred, 5 before
    assert line == {"fixed": 5.0, "each": 0.02}
    assert model.predict(line, 1000) == 25.0
    assert model.line_through([(1, 1.0), (2, 3.0)])["fixed"] == 0.0  # not -1


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_distinct_codes_as_many_as_are_drawn(model, count):
    drawn = len(np.unique(model.some_codes("collapsed", count), axis=0))
    assert model.distinct_codes(count) == pytest.approx(drawn, rel=0.03)
    assert model.distinct_codes(10**15) <= 10 * 2.0**64


def test_page_shows_what_the_model_says(model):
    about, costs, checks = model.tables(json.loads(model.STORED.read_bytes()))
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert about in page
    assert costs in page
    page = (ROOT / "docs" / "notebook" / "cost_model.md").read_text(encoding="utf-8")
    assert about in page
    assert checks in page


def test_figures_are_checked(model):
    """Each line at one other size at least; times at two."""
    stored = json.loads(model.STORED.read_bytes())
    for name in stored["lines"]:
        sizes = {count for what, count, _, _ in stored["checks"] if what == name}
        assert len(sizes) >= (2 if "CPU s" in name else 1), name
