"""Every network of `keras.applications`, in a process of its own; hours, so only by its name.

pytest -m slow tests/export/test_applications.py
"""

import importlib.util
import json
from pathlib import Path

import pytest

from ssah_tf.models.backbones.keras_application import APPLICATIONS

ROOT = Path(__file__).parents[2]


def load():
    spec = importlib.util.spec_from_file_location(
        "applications", ROOT / "benchmarks" / "applications.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


benchmark = load()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_bits_are_equal(name):
    row = benchmark.in_process(name)
    assert not {"refused", "failed"}.intersection(row), row
    assert row["codes"] > benchmark.IMAGES / 2
    # A logit may be 0 but for rounding; a decided bit that differs is an error of the process.
    assert max(row["differ"].values()) <= 2


def test_the_page_is_drawn_from_the_rows():
    rows = json.loads(benchmark.STORED.read_bytes())
    assert set(rows) <= set(APPLICATIONS)
    page = (ROOT / "docs" / "notebook" / "applications.md").read_text(encoding="utf-8")
    assert benchmark.table(rows) in page
