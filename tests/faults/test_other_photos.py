"""Photos and labels that are not the same any more when a training goes on."""

import os
import shutil
import signal

import pytest

from ssah_tf.training.run import LOST, Run

#: Where the first epoch ends; a signal that comes now stops the training with a checkpoint.
EPOCH = ("ssah_tf.training.callbacks:Keep.on_epoch_end", 0, 0.5)


@pytest.fixture
def stopped(forks, recipe, photos, tmp_path):
    """A training of photos with a label file that was stopped after its first epoch."""
    folder, run = shutil.copytree(photos, tmp_path / "photos"), tmp_path / "run"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    labels = tmp_path / "labels.csv"
    rows = [f"{name},{name.split('/')[0]}" for name in names[:-2]]
    labels.write_text("\n".join(["path,label", *rows]) + "\n")
    words = ["train", recipe("none"), "--data", folder, "--labels", labels, "--output", run]
    words += ["--set", "loss.supervised=csq", "--set", "data.protocol=as-labelled"]
    pid = forks.begin([*words, "--set", "data.labelled_per_class=all"], run, halt=EPOCH)
    while "halted" not in forks.log.read_text():
        assert forks.server.poll() is None
    os.kill(pid, signal.SIGTERM)
    done = forks.end()
    assert done.status == 143, done.output
    assert Run(run).checkpoints() == [4]
    return folder, labels, run, names


@pytest.mark.slow
def test_resume_with_other_labels_and_without_a_photo(forks, stopped):
    """A class of the network's size more, a label changed, a training photo gone: all are named."""
    folder, labels, run, names = stopped
    gone = Run(run).split.labelled[0]
    (folder / gone).unlink()
    changed = next(name for name in names[:-2] if name != gone)
    text = labels.read_text().replace(f"{changed},{changed.split('/')[0]}", f"{changed},ant")
    labels.write_text(f"{text}{names[-1]},ant\n")
    done = forks.run(["train", "--resume", run], run)
    assert done.status == 0, done.output
    assert f"1 of 40 images of the run cannot be used: '{gone}' is not there" in done.output
    assert f"'{changed}': '{changed.split('/')[0]}', now 'ant'" in done.output
    assert f"'{names[-1]}': none, now 'ant'" in done.output
    assert "classes that are not the same in the run: 'ant'" in done.output
    assert [entry.get(LOST, 0) for entry in Run(run).history] == [0, 1]
    assert "trained to the end without 1 images" in Run(run).metrics()["protocol"]
    assert Run(run).metrics()["classes"] == ["cat", "dog"]
    model = (run / "model.keras").read_bytes()
    (folder / Run(run).split.labelled[1]).unlink()
    done = forks.run(["train", "--resume", run], run)  # finished: what is learnt stays
    assert done.status == 0, done.output
    assert "the training is finished; its encoder stays as it is" in done.output
    assert (run / "model.keras").read_bytes() == model


@pytest.mark.slow
def test_resume_where_the_photos_have_moved(forks, stopped, tmp_path):
    folder, _, run, _ = stopped
    folder.rename(tmp_path / "elsewhere")
    refused = forks.run(["train", "--resume", run], run).refused()
    assert "none of the 40 images of the run is there" in refused
    assert "name their folder with --data" in refused
    done = forks.run(["train", "--resume", run, "--data", tmp_path / "elsewhere"], run)
    assert done.status == 0, done.output
    assert "cannot be used" not in done.output
    assert [entry.get(LOST, 0) for entry in Run(run).history] == [0, 0]
