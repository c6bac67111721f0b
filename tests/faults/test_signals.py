"""Ctrl-C, SIGTERM, and two trainings in one folder."""

import itertools
import os
import re
import shutil
import signal
import time

import pytest

from ssah_tf.system.errors import RunError
from ssah_tf.training.run import Run
from ssah_tf.training.train import train

#: Where the first epoch begins: the first step is traced after it, which takes seconds.
EPOCH = ("ssah_tf.training.callbacks:Keep.on_epoch_begin", 0, 0.0)
#: Seconds that work takes which a signal is to end.
LONG = 60.0
#: A recipe whose features are computed once, on a network that is quickly made.
FROZEN = [
    *("--set", "model.backbone=convnet", "--set", "model.options={width: 4}"),
    *("--set", "model.bits=8", "--set", "data.image_size=28", "--set", "data.cache_mb=0"),
]
BASELINE = ["baseline", "--data", "PHOTOS", "--output", "NEW", *FROZEN]
#: Several recipes within a time.
CHOOSE = [
    *("train", "--data", "PHOTOS", "--output", "NEW", "--set", "data.image_size=32"),
    *("--set", "model.bits=8", "--set", "train.steps_per_epoch=2", "--set", "train.batch=8"),
]
#: Photos to label, from features that are kept.
SUGGEST = [
    *("suggest", "PHOTOS", "--work", "NEW", "--output", "TABLE"),
    *("--set", "data.image_size=32"),
]
#: What is interrupted: the command, and from which call of which function on it takes long.
LOOPS = {
    "data check, files": (["data", "check", "PHOTOS"], "ssah_tf.data.files:decode", 3),
    "data check, near": (["data", "check", "PHOTOS"], "ssah_tf.data.check:perceptual_hash", 3),
    "baseline, files": (BASELINE, "ssah_tf.data.files:decode", 3),
    "baseline, features": (BASELINE, "ssah_tf.data.image_set:decode", 50),
    "baseline, rotation": (BASELINE, "ssah_tf.training.hash_layer.itq:itq", 0),
    "frozen, refit": (
        ["train", "frozen", *BASELINE[1:], "--set", "train.joint=1"],
        "ssah_tf.training.hash_layer.frozen:CachedFeatures.call",
        0,
    ),
    "choose, plan": (CHOOSE, "ssah_tf.training.choose.timing:time_hash_layer", 0),
    "choose, features": (CHOOSE, "ssah_tf.training.hash_layer.feature_store:write_part", 0),
    "choose, second recipe": (CHOOSE, "ssah_tf.training.hash_layer.itq:itq", 1),
    "suggest, features": (SUGGEST, "ssah_tf.training.hash_layer.feature_store:write_part", 0),
    "suggest, coverage": (SUGGEST, "ssah_tf.training.labelling.coverage:Coverage.cover", 5),
    "evaluate, photos": (["evaluate", "RUN"], "ssah_tf.data.image_set:decode", 30),
    "evaluate, codes": (["evaluate", "RUN"], "ssah_tf.data.image_set:ImageSet.read", 1),
    "evaluate, ranking": (["evaluate", "RUN"], "ssah_tf.metrics.retrieval:hamming_distances", 0),
    "report": (["report", "RUN"], "ssah_tf.training.report.neighbours:hamming_distances", 2),
    "export, conversion": (["export", "RUN"], "ssah_tf.export.export:write_saved_model", 0),
    "export, proof": (["export", "RUN"], "ssah_tf.export.verify:saved_model_codes", 0),
}  # fmt: skip
#: Those of `make test`.
QUICK = (
    ("data check, files", signal.SIGINT, False),
    ("baseline, features", signal.SIGTERM, True),
)


def wait_for(forks, pattern, seconds=120):
    """Wait until the fork has printed something."""
    for _ in range(20 * seconds):
        if re.search(pattern, forks.log.read_text()):
            return
        time.sleep(0.05)
    raise AssertionError(f"{pattern!r} was never printed: {forks.log.read_text()}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_in_good_order(forks, recipe, state_of, undisturbed, tmp_path, number):
    """One batch, a checkpoint, one line that says how to go on, the exit code of the signal.

    The signal comes while the first step is being traced, so it stops after the first of four
    steps of an epoch. Until then, nobody else may train in the folder. Nothing is lost: all but the
    losses of that epoch, which are means of what came after the first step.
    """
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    pid = forks.begin(["train", path, "--output", folder], folder, halt=EPOCH)
    wait_for(forks, "halted")
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
@pytest.mark.parametrize(
    ("second", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped")]
)
def test_second_signal_stops_at_once(forks, undisturbed, state_of, tmp_path, second, word):
    """While the first step is still being traced, which takes seconds."""
    _, state, path = undisturbed("none")
    folder = tmp_path / "run"
    pid = forks.begin(["train", path, "--output", folder], folder, halt=EPOCH)
    wait_for(forks, "halted")
    os.kill(pid, signal.SIGINT)
    wait_for(forks, "stopping after this batch, with a checkpoint; again: at once")
    os.kill(pid, second)
    done = forks.end()
    assert done.status == 128 + second
    assert done.output.splitlines()[-1] == (
        f"ssah: {word}; go on with: ssah train --resume {folder}"
    )
    assert "Traceback" not in done.output
    assert Run(folder).history == []
    done = forks.run(["train", "--resume", folder], folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state


@pytest.mark.parametrize(
    ("name", "number", "deaf"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(LOOPS, (signal.SIGINT, signal.SIGTERM), (False, True))
    ],
)
def test_signal_ends_a_long_loop(forks, finished, photos, tmp_path, name, number, deaf):
    """With one line and the exit code of the signal, where the work would take a minute and more.

    Deaf: the thread at work does not hear the signal, as in code of TensorFlow. Whatever was there
    is as it was, and the same command ends well.
    """
    words, place, calls = LOOPS[name]
    run = tmp_path / "run"
    if "RUN" in words:
        shutil.copytree(finished("none"), run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    names = {"PHOTOS": photos, "NEW": tmp_path / "new", "RUN": run}
    names["TABLE"] = tmp_path / "table.csv"
    words = [str(names.get(word, word)) for word in words]
    pid = forks.begin(words, tmp_path, halt=(place, calls, LONG), deaf=deaf)
    wait_for(forks, "halted")
    os.kill(pid, number)
    done = forks.end()
    assert done.status == 128 + number, done.output
    assert "Traceback" not in done.output
    word = "stopped" if number == signal.SIGTERM else "interrupted"
    begun = any((tmp_path / "new" / name).exists() for name in ("recipe.yaml", "choice.json"))
    how = "the same command goes on where it was" if words[0] == "suggest" else (
        f"go on with: ssah train --resume {tmp_path / 'new'}" if begun else
        "give the same command again"
    )  # fmt: skip
    assert done.output.splitlines()[-1] == f"ssah: {word}; {how}"
    assert {path: path.read_bytes() for path in before} == before
    if begun:
        words = ["train", "--resume", str(tmp_path / "new")]
    done = forks.run(words, tmp_path)
    assert done.status == 0, done.output
