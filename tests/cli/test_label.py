"""`ssah suggest` from a folder to a table, and what is wrong with either."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.labels import read_labels

#: The default backbone at a small side.
SMALL = ("--set", "data.image_size=64")
#: Photos of one content.
COPIES = {"may/00.png", "copy.png", "again.png"}


@pytest.fixture
def photos(tmp_path):
    """Thirty photos of three colours; two of them are copies of the first."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "my photos"
    (folder / "may").mkdir(parents=True)
    for number in range(30):
        pixels = rng.integers(0, 160, (7, 9, 3))
        pixels[..., number % 3] += 90
        picture = Image.fromarray(pixels.astype(np.uint8)).resize((72, 56))
        picture.save(folder / "may" / f"{number:02d}.png")
    first = (folder / "may" / "00.png").read_bytes()
    for name in ("copy.png", "again.png"):
        (folder / name).write_bytes(first)
    return folder


def rows(path):
    return path.read_text().splitlines()[1:]


def colours(names):
    """The colours of photos; copies are of the first one."""
    numbers = [name.split("/")[-1][:2] for name in names]
    return [int(number) % 3 if number.isdigit() else 0 for number in numbers]


@pytest.mark.slow
def test_from_photos_to_a_table_and_on(ssah, photos, tmp_path):
    said = ssah("suggest", photos, "--count", 5, *SMALL)
    assert said.code == 0, said.err
    table = tmp_path / "to_label.csv"
    assert "5 photos to label in to_label.csv, 5 of them new rows" in said.out
    assert f"ssah suggest '{photos}' --labels to_label.csv --output to_label.csv" in said.out
    assert f"ssah train --data '{photos}' --labels to_label.csv --features labelling" in said.out
    first = [*read_labels(table).of]
    assert sorted(colours(first[:3])) == [0, 1, 2]
    assert sum((photos / n).read_bytes() == (photos / "copy.png").read_bytes() for n in first) <= 1
    features = {p: p.stat().st_mtime_ns for p in (tmp_path / "labelling" / "features").iterdir()}
    assert features

    ssah("suggest", photos, "--count", 8, *SMALL)
    assert [*read_labels(table).of][:5] == first

    filled = "".join(f"{n},c{c}\n" for n, c in zip(first, colours(first), strict=True))
    table.write_text("path,label\n" + filled)
    again = ssah("suggest", photos, "--count", 4, "--labels", table, *SMALL)
    assert again.code == 0, again.err
    found = read_labels(table)
    assert len(found.of) == 9
    assert [name for name, labels in found.of.items() if labels] == first
    there = {p: p.stat().st_mtime_ns for p in (tmp_path / "labelling" / "features").iterdir()}
    assert there == features


@pytest.mark.slow
def test_only_new_photos_are_looked_at(ssah, photos, tmp_path, monkeypatch):
    from ssah_tf.training.hash_layer import feature_store

    original, seen = feature_store.feature_batches, []

    def counted(hnet, images, positions, size):
        seen.append(len(positions))
        return original(hnet, images, positions, size)

    monkeypatch.setattr(feature_store, "feature_batches", counted)
    ssah("suggest", photos, *SMALL, "--output", "a.csv")
    Image.new("RGB", (50, 40), "white").save(photos / "new.png")
    (photos / "may" / "07.png").rename(photos / "moved.png")
    ssah("suggest", photos, *SMALL, "--output", "b.csv")
    assert seen == [30, 1]


def test_what_is_left_out_is_told(ssah, photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / " odd.png").write_bytes((photos / "copy.png").read_bytes())
    (tmp_path / "labels.csv").write_text("path,label\nmay/03.png,\ngone.png,x\n")
    said = ssah("suggest", photos, "--labels", "labels.csv", *SMALL)
    assert said.code == 0, said.err
    assert "skipped: " in said.err and "bad.jpg" in said.err
    assert "left out: 1 photos whose names no label file can hold" in said.err
    assert "labels: 1 paths are none of the photos, for example gone.png" in said.err
    assert "labels: no row has a label yet" in said.err
    assert "--count 100: there are only 30, the others have a label or are copies" in said.err
    assert (
        (tmp_path / "to_label.csv").read_text().startswith("path,label\nmay/03.png,\ngone.png,x\n")
    )
    assert len(rows(tmp_path / "to_label.csv")) == 31


def test_bad_input_is_one_line(ssah, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "file").write_text("")
    (tmp_path / "other.csv").write_text("path,label\nelse/1.png,x\n")
    (tmp_path / "filled.csv").write_text("path,label\nmay/01.png,x\n")
    every = [f"may/{number:02d}.png" for number in range(30)]
    every += ["copy.png", "again.png"]
    (tmp_path / "all.csv").write_text("path,label\n" + "".join(f"{n},x\n" for n in every))
    for arguments, line in (
        (("gone",), "gone: no such folder"),
        (("empty",), "empty: no photos in this folder"),
        (("bad",), "bad: no photo can be read, for example"),
        ((photos, "--labels", "gone.csv"), "gone.csv: no such file"),
        ((photos, "--labels", "other.csv"), "other.csv: none of its 1 paths is a photo below"),
        ((photos, "--labels", "all.csv"), "all 32 photos have a label"),
        ((photos, "--output", "filled.csv"), "filled.csv has labels already"),
        ((photos, "--output", "table.xlsx"), "table.xlsx: the table to fill in must end in .csv"),
        ((photos, "--output", "gone/table.csv", *SMALL), "gone/table.csv: cannot be written"),
        ((photos, "--work", "file", *SMALL), "file/features: the folder cannot be made"),
        ((photos, "--set", "data.image_size=8"), "data.image_size"),
    ):
        said = ssah("suggest", *arguments)
        assert (said.code, said.out) == (1, ""), arguments
        assert line in said.err
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("ssah: ")


def test_a_page_that_cannot_be_opened(ssah, photos, tmp_path):
    """One line says why; nothing is written."""
    from ssah_tf.system.lock import only_one

    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("name\n")
    page = (photos, "--port", 0)
    with only_one(tmp_path / "used" / ".lock", "used"):
        for arguments, line in (
            (("gone", "--port", 0), "gone: no such folder"),
            (("empty", "--port", 0), "empty: no photos in this folder"),
            ((*page, "--labels", "l.jsonl"), "l.jsonl: the table to fill in must end in .csv"),
            ((*page, "--labels", "table.csv"), "line 1: expected the columns path and label"),
            ((*page, "--host", "0.0.0.0"), "give a token with --token-file"),
            ((*page, "--work", "used"), "wait until it has ended, or name another --work"),
            ((*page, "--set", "x=1"), "unknown key 'x'"),
            ((*page, "--set-aside", "x"), "--set-aside goes with --index"),
            ((*page, "--index", "empty"), "empty: not an index of photos"),
        ):
            said = ssah("label", *arguments)
            assert (said.code, said.out) == (1, ""), arguments
            assert line in said.err
            assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "labels.csv").exists()


@contextlib.contextmanager
def page_of(photos, folder, *more):
    """A real `ssah label`: `ask(path, body)` gives its state when nothing goes on any more.

    `ask.once(path, body)` gives the answer of any path, `None` if that is a mistake.
    """
    few = (*SMALL, "--set", "train.steps_per_epoch=2")
    words = [sys.executable, "-m", "ssah_tf.cli", "label", photos, "--port", "0", *few, *more]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder) as service:
        try:
            assert service.stdout.readline() == "32 photos, labels in labels.csv\n"
            url = service.stdout.readline().removeprefix("label page: ").split("/ ")[0]

            def once(path, body=None):
                content = None if body is None else json.dumps(body).encode()
                request = urllib.request.Request(
                    f"{url}{path}", content, {"content-type": "application/json"}
                )
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        return json.load(answer)
                except urllib.error.HTTPError:
                    return None

            def ask(path="", body=None):
                once(f"/labelling{path}", body)
                while once("/labelling/progress")["progress"]["what"]:
                    time.sleep(0.2)
                return once("/labelling")

            ask.once = once
            yield ask
        finally:
            service.send_signal(signal.SIGINT)
            said = service.stdout.read()
    assert service.returncode == 0
    assert "--labels labels.csv --features labelling" in said


@pytest.mark.slow
def test_a_page_from_start_to_end(photos, tmp_path):
    """Labels, Learn, what is believed, another start: by the service as people start it."""
    with page_of(photos, tmp_path) as ask:
        shown = [photo for group in ask()["groups"] for photo in group]
        for photo, colour in zip(shown, colours(p["path"] for p in shown), strict=True):
            if colour < 2 and photo["id"] % 2:
                ask("/said", {"photos": [photo["id"]], "action": "label", "label": "rg"[colour]})
        state = ask("/learn", {"train": True})
        assert state["error"] == ""
        assert state["measured"][0]["labelled"] == state["labelled"]
        left = {each["name"]: each["photos"] for each in state["believed"]}
        assert sum(left.values()) == 32 - state["labelled"]
        state = ask("/correct", {"label": "r", "doubtful": True})
        rejected = state["groups"][0][0]
        ask("/said", {"photos": [rejected["id"]], "action": "reject", "label": "r"})
    with page_of(photos, tmp_path) as ask:
        state = ask()
        after = {each["name"]: each["photos"] for each in state["believed"]}
        assert sum(after.values()) == sum(left.values())  # it is believed to be of the other class
        state = ask("/correct", {"label": "g", "doubtful": False})
        of_g = {p["id"]: p["rejected"] for group in state["groups"] for p in group}
        assert of_g[rejected["id"]] == ["r"]
    assert sorted(set(read_labels(tmp_path / "labels.csv").classes)) == ["g", "r"]


@pytest.mark.slow
def test_a_page_with_duplicates(ssah, exported, photos, tmp_path):
    """One command, two pages, one table; what is set aside is there, and can be restored."""
    said = ssah("index", exported[1], photos, "--output", "index")
    assert said.code == 0, said.err
    with page_of(photos, tmp_path, "--index", "index", "--set-aside", "aside") as ask:
        copy = next(p for g in ask()["groups"] for p in g if p["path"] in COPIES)
        ask("/said", {"photos": [copy["id"]], "action": "label", "label": "red"})
        while (state := ask.once("/duplicates")) is None:
            time.sleep(0.2)
        while {p["path"] for p in state["group"]["photos"]} != COPIES:
            state = ask.once(f"/duplicates?group={state['next']}")
        kept = next(p for p in state["group"]["photos"] if p["path"] != copy["path"])
        body = {"group": state["group"]["number"], "keep": [kept["id"]]}
        assert ask.once("/duplicates/set-aside", body)["set_aside"] == 2
        assert rows(tmp_path / "labels.csv") == [f"{copy['path']},red", f"{kept['path']},red"]
        refused = ssah("duplicates", "--restore", "aside")
        assert "aside is in use by another process" in refused.err
    assert {str(p.relative_to(photos)) for p in photos.rglob("*.png")} & COPIES == {kept["path"]}
    said = ssah("duplicates", "index", "--restore", "aside", "--labels", "labels.csv")
    assert (said.code, said.out) == (0, "2 photos are back\n")
    assert rows(tmp_path / "labels.csv") == [f"{copy['path']},red", f"{kept['path']},"]


@pytest.mark.slow
def test_training_takes_the_features(ssah, photos, tmp_path, monkeypatch):
    from ssah_tf.training.hash_layer import feature_store

    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\n" + "".join(f"may/{n:02d}.png,c{n % 3}\n" for n in range(1, 28)))
    few = ("--set", "data.validation_per_class=2", "--set", "data.query_per_class=2")
    short = ("--set", "model.bits=8", "--set", "train.joint=1", "--set", "train.steps_per_epoch=2")
    ssah("suggest", photos, "--labels", labels, *SMALL)
    taken = ("--data", photos, "--labels", labels, "--features", "labelling")
    refused = ssah("train", "folder", *taken)
    assert "--features is for a frozen backbone, and the recipe folder trains its" in refused.err
    before = {*(tmp_path / "labelling" / "features").iterdir()}
    original, seen = feature_store.FeatureStore.__call__, []
    monkeypatch.setattr(
        feature_store.FeatureStore,
        "__call__",
        lambda self, *given: seen.append(self.folder) or original(self, *given),
    )
    said = ssah("train", "frozen", *taken, "--output", "run", *SMALL, *few, *short)
    assert said.code == 0, said.err
    assert [str(folder) for folder in seen] == ["labelling/features"]
    assert {*(tmp_path / "labelling" / "features").iterdir()} == before  # nothing was missing
