"""The lower bounds of our dependencies: `make test-oldest` runs this where they are installed."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    "SSAH_OLDEST" not in os.environ, reason="run by `make test-oldest` only"
)
ROOT = Path(__file__).parents[2]
#: The Python with the versions that are tested otherwise, which are newer.
NEWEST = os.environ.get("SSAH_OLDEST", "")
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


#: Trains the run that is named until so many batches are done.
STOPPED = """
import os, signal, sys
from pathlib import Path
import keras
from ssah_tf.data import load_fashion
from ssah_tf.training.run import Run
from ssah_tf.training.train import train

class Signal(keras.callbacks.Callback):
    left = int(sys.argv[2])

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

train(Run.open(Path(sys.argv[1])), load_fashion(), beside=(Signal(),))
"""


def test_a_run_of_the_newest_is_resumed(tmp_path):
    """Stopped in the middle of the last stage, it ends as where it was begun."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("recipe.yaml", "split.json"):
        shutil.copy(ROOT / "tests" / "fixed_run" / "run" / name, run)
    begun = subprocess.run([NEWEST, "-c", STOPPED, run, "43"], check=False)
    assert begun.returncode != 0
    assert len(list((run / "checkpoints").glob("step-*.weights.h5"))) == 2
    before = json.loads((run / "history.json").read_bytes())
    runs = {sys.executable: run, NEWEST: shutil.copytree(run, tmp_path / "newest")}
    found = []
    for python, folder in runs.items():
        command = [python, "-m", "ssah_tf.cli", "train", "--resume", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        history = json.loads((folder / "history.json").read_bytes())
        assert history[: len(before)] == before
        with zipfile.ZipFile(folder / "model.keras") as model:
            version = json.loads(model.read("metadata.json"))["keras_version"]
        with np.load(folder / "codes.npz") as codes:
            found.append((version, history, {name: codes[name] for name in codes.files}))
    (oldest, ours, codes), (newest, theirs, others) = found
    assert oldest != newest
    assert len(ours) > len(before)
    for one, other in zip(ours[len(before) :], theirs[len(before) :], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["validation_map"] == pytest.approx(other["validation_map"], abs=0.01)
    assert codes.keys() == others.keys()
    apart = [np.unpackbits(codes[part] ^ others[part]).mean() for part in ("query", "database")]
    assert max(apart) < 0.01
