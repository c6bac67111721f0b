"""`kill -9` of a training, again and again: resumed, it ends as if nothing had happened."""

import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest


def go_on(folder, path):
    """The words that go on with a run, or begin it if the kill came before it had begun."""
    if (folder / "recipe.yaml").exists():
        return ["train", "--resume", folder]
    return ["train", path, "--output", folder]


@pytest.mark.slow
def test_killed_at_places_where_it_hurts(forks, undisturbed, state_of, tmp_path):
    """Before the recipe is there, in the write of a checkpoint, in that of the report."""
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    for place in ("recipe.yaml", r"checkpoints/step-0000008.*", "report.html"):
        done = forks.run(go_on(folder, path), folder, f"rename {place}")
        assert done.status == -signal.SIGKILL, done.output
    done = forks.run(go_on(folder, path), folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_random_moment(forks, undisturbed, state_of, tmp_path, number):
    """Anywhere between the first file and the last one, the report."""
    whole, state, path = undisturbed("learned")
    folder = tmp_path / "run"
    rng = np.random.default_rng(number)
    pid = forks.begin(["train", path, "--output", folder], folder)
    time.sleep(rng.uniform(0, whole.seconds))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if (status := forks.end().status) == 0:
        pytest.skip("it was quicker this time")
    assert status == -signal.SIGKILL
    done = forks.run(go_on(folder, path), folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_random_change_of_a_file(forks, undisturbed, state_of, tmp_path, number):
    """Twice in a row: opening, syncing, renaming or removing a file."""
    whole, state, path = undisturbed("learned")
    folder = tmp_path / "run"
    rng = np.random.default_rng(100 + number)
    place = int(len(whole.events) * (number + rng.uniform()) / 20)  # each twentieth once
    done = forks.run(["train", path, "--output", folder], folder, place)
    assert done.status == -signal.SIGKILL, done.output
    forks.run(go_on(folder, path), folder, int(rng.integers(0, 20)))
    done = forks.run(go_on(folder, path), folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state
