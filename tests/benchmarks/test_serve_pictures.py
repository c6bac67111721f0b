"""The benchmark of large pictures at the service, in its short form."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The index that the service is tested with."""
    file = ROOT / "tests" / "serve" / "conftest.py"
    spec = importlib.util.spec_from_file_location("of_service", file)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.Index(tmp_path_factory.mktemp("index")).folder


def measured(index, *words):
    script = ROOT / "benchmarks" / "serve_pictures.py"
    done = subprocess.run(
        [sys.executable, script, "--index", index, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_short_form(index):
    """Every large picture is answered, memory comes back, a kill costs one search at most."""
    found = measured(index, "--short")
    for kind, row in found["memory"].items():
        assert row["statuses"] == [200] * 8, kind
        assert row["start"] < row["peak"] < row["start"] + 250, kind
        assert row["after"] < row["start"] + 100, kind
    kills = found["kills"]
    assert set(kills["statuses"]) <= {"200", "400"}
    assert kills["statuses"].get("400", 0) <= kills["killed"] == 4
    assert kills["afterwards"] == 200
    assert all(min(one) > 0 for one in found["throughput"]["searches a second"].values())


@pytest.mark.slow
def test_eight_of_49_megapixels(index, monkeypatch):
    """All processes together stay below 800 MB, and are back within 100 MB."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import serve_pictures

    for kind in serve_pictures.KINDS:
        row = serve_pictures.memory(index, kind, 7000, rest=3)
        # Dark colours of 16 bits take seconds each: a busy machine may let some wait too long.
        allowed = {200, 503} if "dark" in kind else {200}
        assert set(row["statuses"]) <= allowed, (kind, row)
        assert row["peak"] < 800, (kind, row)
        assert row["after"] < row["start"] + 100, (kind, row)
