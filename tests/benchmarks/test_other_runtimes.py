"""The table of other people's runtimes: its arithmetic, and that the page shows what is stored."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks" / "other_runtimes"))
        yield importlib.import_module("runtime_table")


def test_cells(page):
    assert page.cells({"bits": 3072, "differ": 0, "ratios": [3.0, 1.0, 2.0]}) == (
        "0 of 3,072",
        "2.0",
    )
    assert page.cells({"bits": 3072, "differ": 11, "ratios": [0.46]})[0] == "11 of 3,072 (0.4%)"
    assert page.cells({"bits": 768, "differ": 0, "ratios": []}) == ("0 of 768", "not timed")
    assert page.cells({"fails": "no"}) == ("does not run", "")


def test_page_shows_what_is_stored(page):
    stored = json.loads(page.STORED.read_bytes())
    keys = [runtime.key for runtime in page.RUNTIMES]
    assert len(set(keys)) == len(keys)
    assert set(stored["rows"]) <= set(keys)
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.table(stored) in text
    assert stored["note"] in text


def test_what_is_stored_is_what_is_expected(page):
    """Floats give the same bits, but for those within rounding; integers nearly the same."""
    for runtime in page.RUNTIMES:
        row = json.loads(page.STORED.read_bytes())["rows"].get(runtime.key)
        if row is not None:
            assert ("fails" in row) == (runtime.bits == "fails"), runtime.key
            assert runtime.bits != "equal" or row["differ"] == 0, runtime.key
            assert runtime.bits != "near" or 0 < row["differ"] < 0.02 * row["bits"], runtime.key
