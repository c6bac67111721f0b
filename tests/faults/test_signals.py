"""Ctrl-C, SIGTERM, and two trainings in one folder."""

import os
import re
import signal
import time

import pytest

from ssah_tf.system.errors import RunError
from ssah_tf.training.run import Run
from ssah_tf.training.train import train


def wait_for(forks, pattern, seconds=120):
    """Wait until the fork has printed something."""
    for _ in range(20 * seconds):
        if re.search(pattern, forks.log.read_text()):
            return
        time.sleep(0.05)
    raise AssertionError(f"{pattern!r} was never printed: {forks.log.read_text()}")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_signal_stops_in_good_order(forks, recipe, state_of, undisturbed, tmp_path, number):
    """One batch, a checkpoint, one line that says how to go on, the exit code of the signal.

    The signal comes while the first step is being traced, so it stops after the first of four
    steps of an epoch. Until then, nobody else may train in the folder. Nothing is lost: all but the
    losses of that epoch, which are means of what came after the first step.
    """
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    pid = forks.begin(["train", path, "--output", folder], folder)
    wait_for_lock(folder)
    with pytest.raises(RunError, match=rf"{folder} is in use by another process \(number {pid}\)"):
        train(Run.open(folder), None)
    os.kill(pid, number)
    done = forks.end()
    assert done.status == 128 + number
    assert done.output.splitlines()[-1] == (
        f"ssah: stopped; go on with: ssah train --resume {folder}"
    )
    assert "Traceback" not in done.output
    assert Run(folder).checkpoints() == [1]
    done = forks.run(["train", "--resume", folder], folder)
    assert done.status == 0, done.output
    found = state_of(folder)
    for entry, expected in zip(found["history.json"], state["history.json"], strict=True):
        losses = set() if entry["epoch"] else {"loss", "supervised", "quantisation", "balance"}
        assert {k for k in expected if entry[k] != expected[k]} == losses
    assert {**found, "history.json": state["history.json"]} == state


@pytest.mark.slow
def test_second_ctrl_c_stops_at_once(forks, undisturbed, state_of, tmp_path):
    """While the first step is still being traced, which takes seconds."""
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    pid = forks.begin(["train", path, "--output", folder], folder)
    wait_for_lock(folder)
    os.kill(pid, signal.SIGINT)
    wait_for(forks, "stopping after this batch, with a checkpoint; again: at once")
    os.kill(pid, signal.SIGINT)
    done = forks.end()
    assert done.status == 130
    assert done.output.splitlines()[-1] == (
        f"ssah: interrupted; go on with: ssah train --resume {folder}"
    )
    assert "Traceback" not in done.output
    assert Run(folder).history == []
    done = forks.run(["train", "--resume", folder], folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state


def wait_for_lock(folder):
    """Wait until the training has the folder for itself."""
    while not (folder / ".lock").exists():
        time.sleep(0.01)
    time.sleep(0.2)
