"""The lower bounds of our dependencies: `make test-oldest` runs this where they are installed."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    "SSAH_OLDEST" not in os.environ, reason="run by `make test-oldest` only"
)
ROOT = Path(__file__).parents[2]
#: What is installed beside the base.
EXTRAS = ("train", "search")


def test_the_lower_bounds_are_installed():
    """Of every dependency that has one; so nothing that is tested here needs more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    bounds = [re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", one) for one in wanted]
    found = {one[1]: importlib.metadata.version(one[1]) for one in bounds if one}
    assert len(found) > 10
    for one in filter(None, bounds):
        bound, installed = one[2].split("."), found[one[1]].split(".")
        padded = [*bound, "0", "0"][: len(installed)]
        assert installed[: len(padded)] == padded[: len(installed)], (one[1], found[one[1]])


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "index", "search"])
def test_commands_are_there(command):
    """The command line is built as a whole, whatever is asked for."""
    said = subprocess.run(
        [Path(sys.executable).parent / "ssah", command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert f"ssah {command}" in said.stdout
