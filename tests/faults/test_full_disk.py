"""A disk that is full, a folder that is read-only: one line, and nothing that was there is lost."""

import os
import subprocess

import numpy as np
import pytest


class Disk:
    """A small file system in memory that can be made larger."""

    def __init__(self, folder):
        self.folder = folder

    def resize(self, kilobytes: int) -> None:
        options = f"remount,size={kilobytes}k"
        subprocess.run(["mount", "-o", options, self.folder], check=True)

    def read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    """Mounted for the test; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", folder]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 12, 64, 128, 256, 400, 600])
def test_training(forks, undisturbed, state_of, disk, kilobytes):
    """Full at seven points between the first file and the report; with room it goes on."""
    _, state, path = undisturbed("learned")
    folder = disk.folder / "run"
    disk.resize(kilobytes)
    line = forks.run(["train", path, "--output", folder], folder).refused()
    assert "No space left on device" in line or "full" in line, line
    disk.resize(20_000)
    words = (
        ["--resume", folder] if (folder / "recipe.yaml").exists() else [path, "--output", folder]
    )
    done = forks.run(["train", *words], folder)
    assert done.status == 0, done.output
    assert state_of(folder) == state


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 40, 80, 200])
@pytest.mark.parametrize("command", ["encode", "index", "export"])
def test_encoders(forks, exported, photos, disk, kilobytes, command):
    """An older result stays as it was, or a new one is not begun; with room all is there."""
    run, export = exported
    target = {
        "encode": disk.folder / "codes.npy",
        "index": disk.folder / "index",
        "export": disk.folder / "export",
    }[command]
    words = {
        "encode": ["encode", export, photos, "--output", target],
        "index": ["index", export, photos, "--output", target],
        "export": ["export", run.folder, "--output", target],
    }[command]
    disk.resize(kilobytes)
    done = forks.run(words, disk.folder)
    if done.status:
        assert "No space left on device" in done.refused()
    else:
        # Forty codes need little room, and an index of them not much more.
        assert command == "encode" or (command, kilobytes) == ("index", 200)
    disk.resize(20_000)
    done = forks.run(words, disk.folder)
    assert done.status == 0, done.output
    if command == "export":
        assert forks.run(["verify", target], disk.folder).status == 0
    if command == "encode":
        assert np.load(target).shape == (40, 2)
    if command == "index":
        assert "40 photos" in done.output


@pytest.mark.slow
def test_read_only(forks, recipe, exported, photos, disk):
    """Even for root: one line from each command that writes."""
    run, export = exported
    disk.read_only()
    for words in (
        ["train", recipe("none"), "--output", disk.folder / "run"],
        ["encode", export, photos, "--output", disk.folder / "codes.npy"],
        ["index", export, photos, "--output", disk.folder / "index"],
        ["export", run.folder, "--output", disk.folder / "export"],
    ):
        assert "Read-only file system" in forks.run(words, disk.folder).refused()
