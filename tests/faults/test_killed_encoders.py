"""`kill -9` of `ssah export` and `ssah encode` at changes of files: the same command ends whole."""

import json
import signal

import numpy as np
import pytest


@pytest.fixture(scope="session")
def whole_export(forks, exported, tmp_path_factory):
    """An export that nobody disturbed: what it did to files, and its manifest."""
    folder = tmp_path_factory.mktemp("whole-export")
    done = forks.run(["export", exported[0].folder, "--output", folder / "out"], folder)
    assert done.status == 0, done.output
    return done.events, manifest(folder / "out")


def manifest(folder):
    """What an export says of itself, without the checksums: names in ONNX are counted up."""
    about = json.loads((folder / "encoder.json").read_text())
    varying = {"files", "manifest_sha256"}  # a SavedModel differs a little at each export
    return {key: value for key, value in about.items() if key not in varying}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_export(forks, exported, whole_export, tmp_path, number):
    """Half of them over an older export: it is there, or the new one is, or a call brings it."""
    events, about = whole_export
    words = ["export", exported[0].folder, "--output", tmp_path / "out"]
    if number % 2:
        assert forks.run(words, tmp_path).status == 0
    rng = np.random.default_rng(number)
    place = int(len(events) * (number // 2 + rng.uniform()) / 10)  # each tenth, new and old
    done = forks.run(words, tmp_path, place)
    assert done.status == -signal.SIGKILL, done.output
    if (tmp_path / "out").exists():  # what stands there is never half of an export
        assert forks.run(["verify", tmp_path / "out"], tmp_path).status == 0
    done = forks.run(words, tmp_path)
    assert done.status == 0, done.output
    assert manifest(tmp_path / "out") == about
    assert forks.run(["verify", tmp_path / "out"], tmp_path).status == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"out", ".out.lock"}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_encode(forks, exported, photos, tmp_path, number):
    """The codes and the paths are those of a call that nobody disturbed."""
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    words = ["encode", exported[1], photos, "--output"]
    whole = forks.run([*words, folders[0] / "codes.npy"], folders[0])
    assert whole.status == 0, whole.output
    place = number % len(whole.events)
    done = forks.run([*words, folders[1] / "codes.npy"], folders[1], place)
    assert done.status == -signal.SIGKILL, done.output
    done = forks.run([*words, folders[1] / "codes.npy"], folders[1])
    assert done.status == 0, done.output
    for name in ("codes.npy", "codes.npy.json"):
        assert (folders[1] / name).read_bytes() == (folders[0] / name).read_bytes()
