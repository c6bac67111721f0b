"""The drawing of mutants, without the tester that makes them: it is no dependency."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutants.py"


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lines_that_differ(mutants):
    source = ["@cached", "def f(x):", "    return x + 1"]
    assert mutants.difference(source, [*source[:2], "    return x - 1"]) == (
        "return x + 1",
        "return x - 1",
    )
    assert mutants.difference(source, source[1:]) == ("@cached", "")


def test_what_changes_nothing_is_listed_whole_or_for_any_change(mutants):
    one = mutants.Mutant("metrics", "a.py", "x = 1", "x = 2", "")
    listed = {"a.py: x = 1 -> x = 2": "nobody reads x"}
    assert mutants.reason(one, listed) == "nobody reads x"
    assert mutants.reason(one._replace(after="x = 3"), listed) is None
    assert mutants.reason(one._replace(after="x = 3"), {"a.py: x = 1 ->": "why"}) == "why"


def test_every_part_has_code_and_tests(mutants):
    root = SCRIPT.parents[1]
    for code, tests in mutants.PARTS.values():
        assert all(list(root.glob(pattern)) for pattern in code)
        assert all((root / name).exists() for name in tests if name.startswith("tests/"))


def test_listed_mutants_name_code_that_is_there(mutants):
    """A reason for a line that has gone would excuse nothing."""
    root = SCRIPT.parents[1]
    for key, why in json.loads(SCRIPT.with_suffix(".json").read_text("utf-8")).items():
        path, _, change = key.partition(": ")
        before = change.partition(" ->")[0]
        text = " ".join((root / path).read_text("utf-8").split())
        assert " ".join(before.split()) in text, key
        assert why


def test_help():
    done = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--seed" in done.stdout
