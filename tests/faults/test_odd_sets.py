"""Sets of images that leave something out, and a clock that is wrong."""

import json
import os
import shutil
import time

import pytest


@pytest.fixture
def set_of(photos, tmp_path):
    """Makes a set with some of the forty photos: names of folders -> how many."""

    def make(**counts):
        files = sorted(photos.rglob("*.png"))
        for name, count in counts.items():
            (tmp_path / "set" / name).mkdir(parents=True)
            for _ in range(count):
                shutil.copy(files.pop(), tmp_path / "set" / name)
        return tmp_path / "set"

    return make


def train(forks, folder, source, *overrides):
    """Train a tiny recipe on a set; what the fork did."""
    path = folder / "tiny.yaml"
    path.write_text(
        "name: tiny\n"
        "data: {protocol: as-labelled, image_size: 28, labelled_per_class: all,\n"
        "       validation_per_class: 2, query_per_class: 2}\n"
        "model: {backbone: convnet, options: {width: 4}, bits: 12}\n"
        "adversary: {kind: none}\n"
        "train: {batch: 6, steps_per_epoch: 2, hnet_warmup: 0, joint: 1}\n"
    )
    words = [word for override in overrides for word in ("--set", override)]
    return forks.run(["train", path, "--data", source, "--output", folder / "run", *words], folder)


@pytest.mark.slow
def test_no_unlabelled_images_and_more_bits_than_images_in_a_batch(forks, set_of, tmp_path):
    done = train(forks, tmp_path, set_of(cat=12, dog=12), "model.bits=64")
    assert done.status == 0, done.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["retrieval"]["map_tie_aware"] > 0.4


@pytest.mark.slow
def test_nothing_is_labelled(forks, set_of, tmp_path):
    assert "label" in train(forks, tmp_path, set_of(unlabelled=20)).refused()


@pytest.mark.slow
def test_one_class(forks, set_of, tmp_path):
    """Every image is right for every query, so there is nothing to learn or to measure."""
    assert "class" in train(forks, tmp_path, set_of(cat=20)).refused()


@pytest.mark.slow
def test_class_with_one_image(forks, set_of, tmp_path):
    """It is told and trained on; there is no other to ask for it with."""
    done = train(forks, tmp_path, set_of(cat=15, dog=15, emu=1))
    assert done.status == 0, done.output
    assert "fewer than 3 labelled images" in done.output


@pytest.mark.slow
def test_clock_that_jumps(forks, undisturbed, state_of, tmp_path):
    """Resumed after the clock has gone back and forth by years, it ends as if it had not."""
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    words = ["train", path, "--output", folder]
    done = forks.run(words, folder, r"rename checkpoints/step-0000004.*")
    assert done.status < 0
    stamp = time.time() - 10 * 365 * 86400
    for file in [folder, *folder.rglob("*")]:  # written in a future that has gone again
        os.utime(file, (stamp, stamp) if len(file.name) % 2 else (stamp + 1e9, stamp + 1e9))
    done = forks.run(["train", "--resume", folder], folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state
