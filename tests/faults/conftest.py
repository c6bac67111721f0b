"""A server that runs `ssah` in forks of one process, and the trainings that are disturbed."""

import hashlib
import json
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

#: So small that a training takes little more than the tracing of its steps.
RECIPE = """
name: tiny
data: {source: PHOTOS, protocol: n-per-class, image_size: 28, labelled_per_class: 6,
       validation_per_class: 2, query_per_class: 2}
model: {backbone: convnet, options: {width: 4}, bits: 12}
adversary: {kind: KIND, width: 4}
train: {batch: 6, steps_per_epoch: 4, hnet_warmup: WARMUP, anet_warmup: 1, joint: 2}
"""


@dataclass
class Done:
    """How a fork ended.

    Attributes:
        status: Exit code, or minus the number of the signal that killed it.
        events: What it did to files of the folder, in order. See `ssah_forks`.
        output: What it printed.
        seconds: How long it ran.
    """

    status: int
    events: list[str]
    output: str
    seconds: float

    def refused(self) -> str:
        """The one line of a failed command."""
        assert self.status == 1, (self.status, self.output)
        assert "Traceback" not in self.output, self.output
        last = self.output.splitlines()[-1]
        assert last.startswith("ssah: "), self.output
        return last


class Forks:
    """Client of `ssah_forks`."""

    def __init__(self, scratch: Path):
        self.log = scratch / "output.txt"
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("ssah_forks.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout.readline() == "ready\n"

    def begin(
        self,
        words,
        folder: Path,
        die_at: int | str | None = None,
        halt: tuple[str, int, float] | None = None,
        deaf: bool = False,
    ) -> int:
        """Start `ssah` with these words; the process id of the fork."""
        self.log.write_text("")
        order = {"words": [str(word) for word in words], "folder": str(folder)}
        order |= {"die_at": die_at, "output": str(self.log), "halt": None}
        if halt:
            order["halt"] = {
                **dict(zip(("place", "calls", "seconds"), halt, strict=True)),
                "deaf": deaf,
            }
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        self.began = time.monotonic()
        return json.loads(self.server.stdout.readline())["pid"]

    def end(self) -> Done:
        """Wait for the fork."""
        answer = json.loads(self.server.stdout.readline())
        return Done(**answer, output=self.log.read_text(), seconds=time.monotonic() - self.began)

    def run(self, words, folder: Path, die_at: int | str | None = None) -> Done:
        """Start `ssah` and wait for it."""
        self.begin(words, folder, die_at)
        return self.end()


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """The server, for the whole session."""
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.server.communicate()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Forty photos of two classes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for k in range(40):
        path = folder / ("cat", "dog")[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((30, 30), Image.Resampling.BICUBIC).save(path)
    return folder


@pytest.fixture(scope="session")
def recipe(photos, tmp_path_factory):
    """Makes the file of the tiny recipe, with A-Net ("learned") or without ("none")."""

    def write(kind: str) -> Path:
        path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
        text = RECIPE.replace("PHOTOS", str(photos)).replace("KIND", kind)
        path.write_text(text.replace("WARMUP", "0" if kind == "none" else "1"))
        return path

    return write


@pytest.fixture(scope="session")
def undisturbed(forks, recipe, tmp_path_factory):
    """Makes a run that nobody disturbed: what it did to files, its state, its recipe."""
    made = {}

    def make(kind):
        if kind not in made:
            folder = make.folders[kind] = tmp_path_factory.mktemp("whole") / "run"
            path = recipe(kind)
            done = forks.run(["train", path, "--output", folder], folder)
            assert done.status == 0, done.output
            made[kind] = done, run_state(folder), path
        return made[kind]

    make.folders = {}
    return make


@pytest.fixture(scope="session")
def finished(undisturbed):
    """Gives the folder of a run that nobody disturbed."""

    def folder(kind):
        undisturbed(kind)
        return undisturbed.folders[kind]

    return folder


@pytest.fixture(scope="session")
def state_of():
    """Gives what a finished run has come to; see `run_state`."""
    return run_state


def run_state(folder: Path) -> dict[str, object]:
    """All results of a run folder as values that are equal if and only if the results are.

    Weights, optimizers, metrics, codes and hard samples are compared bit by bit; of the history and
    the numbers everything but times.
    """
    checkpoints = sorted((folder / "checkpoints").iterdir())
    state: dict[str, object] = {
        f"checkpoints/{path.name}": of_weights(path) for path in checkpoints
    }
    with zipfile.ZipFile(folder / "model.keras") as archive, archive.open("model.weights.h5") as h5:
        state["model.keras"] = of_weights(h5)
    for name in ("codes.npz", "hard_samples.npz", "sample.npz"):
        if (folder / name).exists():
            with np.load(folder / name) as arrays:
                state[name] = {key: arrays[key].tobytes() for key in arrays}
    history = json.loads((folder / "history.json").read_bytes())
    state["history.json"] = [{k: v for k, v in e.items() if k != "seconds"} for e in history]
    metrics = json.loads((folder / "metrics.json").read_bytes())
    state["metrics.json"] = {k: v for k, v in metrics.items() if k != "training_seconds"}
    for name in ("recipe.yaml", "split.json"):
        state[name] = (folder / name).read_bytes()
    state["names"] = sorted(path.name for path in folder.iterdir())
    return state


def of_weights(file) -> dict[str, str]:
    """Name of each array of an HDF5 file -> hash of its content."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with h5py.File(file) as weights:
        weights.visititems(take)
    assert found
    return found
