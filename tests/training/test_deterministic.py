"""The same seed on the same machine: the same weights, twice."""

import hashlib
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ssah_tf.training.run import Run

SHORT = {
    "train.steps_per_epoch": 10,
    "train.hnet_warmup": 1,
    "train.anet_warmup": 1,
    "train.joint": 2,
    "train.batch": 32,
    "adversary.width": 8,
}


def digest(run):
    """Hash of the newest checkpoint, the state of both optimizers included, and of all codes."""
    found = hashlib.sha256(run.codes_path.read_bytes())
    with h5py.File(run.checkpoint_path(run.checkpoints()[-1])) as file:
        file.visititems(
            lambda name, item: (
                found.update(name.encode() + np.asarray(item).tobytes())
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_same_seed_same_hash(tmp_path, devices):
    """Two processes, one after the other; a third with another seed shows that the hash can."""
    hashes = []
    for number, seed in enumerate((0, 0, 1)):
        values = SHORT | {"seed": seed}
        words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        words += ["--output", f"run-{number}", "--devices", str(devices)]
        subprocess.run(
            [sys.executable, "-m", "ssah_tf.cli", "train", *words],
            cwd=tmp_path,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
            check=True,
            capture_output=True,
        )
        hashes.append(digest(Run.open(tmp_path / f"run-{number}")))
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]
