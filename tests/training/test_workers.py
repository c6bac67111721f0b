"""Several processes on this machine as the workers of one training, by `TF_CONFIG`."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import cache

import h5py
import numpy as np
import pytest

from ssah_tf.cli.app import app
from ssah_tf.system.errors import SsahError
from ssah_tf.training.devices import is_chief, place_among_workers
from ssah_tf.training.run import Run

SMALL = {
    "model.options.width": 8,
    "adversary.width": 8,
    "train.batch": 24,
    "train.steps_per_epoch": 5,
    "train.hnet_warmup": 1,
    "train.anet_warmup": 1,
    "train.joint": 2,
    # Small steps: rounding errors must not grow to more than what is compared.
    "train.hnet.learning_rate": 1e-5,
    "train.anet.learning_rate": 1e-5,
}
PATIENCE = 900  # seconds; a step of several processes on a busy machine takes long


def free_ports(count):
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def begin(count, folder, *words):
    """Start `ssah train` on every worker."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    workers = []
    for index in range(count):
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        if count > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        with open(folder / f"worker-{index}.log", "w") as log:  # the process goes on writing
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "ssah_tf.cli", "train", *words],
                    cwd=folder,
                    env=os.environ | environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return workers


def end(workers, folder):
    """Wait for all; their exit codes and what they said."""
    codes = [worker.wait(PATIENCE) for worker in workers]
    return codes, [(folder / f"worker-{i}.log").read_text() for i in range(len(workers))]


def fresh(**changes):
    """Words that start a training in the folder `run`."""
    values = SMALL | changes
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return ["--output", "run", *words]


def weights(run):
    """Everything in the newest checkpoint, by name."""
    found = {}
    with h5py.File(run.checkpoint_path(run.checkpoints()[-1])) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: np.array(item)}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process, on as many devices as there are workers, which is the argument.

    On one device batch normalisation is a fused operation that rounds otherwise. That one device
    and several agree is asked in `tests/models/test_devices.py`.
    """

    @cache
    def run_on(devices):
        folder = tmp_path_factory.mktemp("alone")
        codes, logs = end(begin(1, folder, "--devices", str(devices), *fresh()), folder)
        assert codes == [0], logs
        return Run.open(folder / "run")

    return run_on


def assert_equal(run, expected):
    """Every logged number to 1e-6, every weight to 1e-5, the same validation."""
    assert len(run.history) == len(expected.history)
    for found, wanted in zip(run.history, expected.history, strict=True):
        assert found.keys() == wanted.keys()
        for name in wanted.keys() - {"epoch", "stage", "seconds"}:
            assert found[name] == pytest.approx(wanted[name], rel=1e-6, abs=1e-6), name
    found, wanted = weights(run), weights(expected)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_workers_equal_one_process(tmp_path, alone, count):
    """The chief alone writes and reports; the others say nothing and end well."""
    codes, logs = end(begin(count, tmp_path, *fresh()), tmp_path)
    assert codes == [0] * count, logs
    assert_equal(Run.open(tmp_path / "run"), alone(count))
    assert "mAP@all, tie-aware" in logs[0]
    assert not any("epoch" in log or "mAP" in log for log in logs[1:])
    folders = (tmp_path / "run", alone(count).folder)
    written, expected = ({path.name for path in folder.rglob("*")} for folder in folders)
    events = {name for name in written if name.startswith("events")}
    assert written - events == {name for name in expected if not name.startswith("events")}
    assert len({name.split(".")[-3] for name in events}) == 1  # all by the same process


@pytest.mark.slow
def test_workers_learn_from_another_run(tmp_path, alone):
    """The chief writes the labels that all of them read; the weights are those of one process."""
    short = {"train.hnet_warmup": 0, "train.anet_warmup": 0, "train.joint": 1}
    words = ["--self-train", str(alone(2).folder), *fresh(**short)]
    (tmp_path / "one").mkdir()
    codes, logs = end(begin(1, tmp_path / "one", "--devices", "2", *words), tmp_path / "one")
    assert codes == [0], logs
    codes, logs = end(begin(2, tmp_path, *words), tmp_path)
    assert codes == [0, 0], logs
    run, expected = Run.open(tmp_path / "run"), Run.open(tmp_path / "one" / "run")
    assert run.pseudo_labels_path.read_bytes() == expected.pseudo_labels_path.read_bytes()
    assert_equal(run, expected)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_killed_worker(tmp_path, alone, victim):
    """The others end with a line; all of them started again with --resume end as if undisturbed."""
    workers = begin(2, tmp_path, *fresh())
    run = Run(tmp_path / "run")
    limit = time.monotonic() + PATIENCE
    while not (run.folder / "checkpoints").is_dir() or not run.checkpoints():
        assert time.monotonic() < limit
        time.sleep(0.1)
    workers[victim].kill()
    codes, logs = end(workers, tmp_path)
    assert codes[victim] == -9
    assert codes[1 - victim] == 1
    assert "another worker has stopped" in logs[1 - victim].splitlines()[-1]
    assert len(run.history) < 4
    codes, logs = end(begin(2, tmp_path, "--resume", "run"), tmp_path)
    assert codes == [0, 0], logs
    assert_equal(run, alone(2))


@pytest.mark.slow
def test_chief_that_refuses_ends_the_others(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    codes, logs = end(begin(2, tmp_path, *fresh()), tmp_path)
    assert codes == [1, 1]
    assert "run is not empty" in logs[0]
    assert "another worker has stopped, and says why" in logs[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train",), "give all the same run folder, --output"),
        (
            ("train", "--output", "x", "--devices", "2"),
            "a worker of TF_CONFIG without a GPU is one CPU",
        ),
        (("baseline", "--data", "fashion"), "ssah baseline runs on one host"),
        (("ablation", "fashion"), "ssah ablation runs on one host"),
    ],
)
def test_refused_at_once(monkeypatch, tmp_path, words, message):
    """Without waiting for the other worker, which is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CONFIG", config(worker=["127.0.0.1:1", "127.0.0.1:2"]))
    with pytest.raises(SsahError, match=message):
        app(words, standalone_mode=False)
    assert not list(tmp_path.iterdir())


def config(kind="worker", index=0, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (0, 1)),
        ("{}", (0, 1)),
        (config(worker=["a:1"]), (0, 1)),
        (config(index=2, worker=["a:1", "b:1", "c:1"]), (2, 3)),
        (config("chief", chief=["a:1"], worker=["b:1", "c:1"]), (0, 3)),
        (config("worker", 1, chief=["a:1"], worker=["b:1", "c:1"]), (2, 3)),
    ],
)
def test_place_among_workers(monkeypatch, text, place):
    monkeypatch.setenv("TF_CONFIG", text)
    assert place_among_workers() == place
    assert is_chief() == (place[0] == 0)


@pytest.mark.parametrize(
    "text",
    [
        "cluster",
        "[]",
        '{"cluster": 3}',
        '{"cluster": {"worker": ["a:1"]}}',
        config(index=1, worker=["a:1"]),
        config("evaluator", worker=["a:1"]),
    ],
)
def test_tf_config_that_makes_no_sense(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SsahError, match=r"TF_CONFIG: received .* expected JSON like"):
        place_among_workers()
