"""Rounds of labelling on made-up features, and the process that they run in."""

import os
import time
from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import ImageSet
from ssah_tf.data.label_round import Progress, Task
from ssah_tf.training.labelling import learn
from ssah_tf.training.labelling import photos as photos_module
from ssah_tf.training.labelling import suggest as module
from ssah_tf.training.labelling.learn import Rounds
from ssah_tf.training.labelling.photos import load_photos, new_photos, with_more
from ssah_tf.training.labelling.process import Process


@pytest.fixture
def rounds(rng, monkeypatch):
    """Ninety photos of three classes that features tell apart, and which they are of."""
    which = np.arange(90) % 3
    features = np.abs(np.eye(32)[which] + 0.05 * rng.normal(size=(90, 32))).astype(np.float32)
    monkeypatch.setattr(learn, "features_of_photos", lambda *_: features)
    monkeypatch.setattr(learn, "EPOCHS", 1)
    images = ImageSet(
        "photos",
        tuple(f"{i}.jpg" for i in range(90)),
        np.zeros((90, 0), np.uint8),
        (),
        tuple(f"{i * 7919 % 97:064x}" for i in range(90)),
    )
    told = []

    @contextmanager
    def bars(what):
        told.append(what)
        yield lambda done, total: told.append((done, total))

    few = ("train.steps_per_epoch=4", "train.batch=8", "model.bits=12")
    made = Rounds(images, None, few, bars)
    made.told, made.which = told, which
    return made


def labels(which, positions):
    return {p: ("abc"[which[p]],) for p in positions}


def believe(rounds, known, rejected):
    return rounds.believe(rounds.belief(known), known, rejected)


def suggest(rounds, known, passed, count):
    found = rounds.suggest(rounds.belief(known), Task(known, passed, False), count)
    return [*chain(*found)]


def test_a_round(rounds):
    known = labels(rounds.which, range(18))
    outcome = rounds.do(Task(known, (), True), 5)
    found = outcome.measured
    assert len([*chain(*outcome.groups)]) == 5
    assert (found["labelled"], found["classes"], found["queries"]) == (18, 3, 6)
    assert 0 <= found["low"] <= found["map"] <= found["high"] <= 1
    assert {each["queries"] for each in found["weak"]} == {2}
    assert [each["map"] for each in found["weak"]] == sorted(e["map"] for e in found["weak"])
    assert found["changed"] is None
    assert (4, 4) in rounds.told
    assert rounds.do(Task(known, (), False), 5).measured is None
    assert rounds.do(Task(known, (), True), 5).measured["changed"] == 0
    wrong = {p: ("abc"[(rounds.which[p] + 1) % 3],) for p in range(18)}
    assert rounds.do(Task(wrong, (), True), 5).measured["changed"] == 72


def test_labels_are_propagated_once_a_round(rounds, monkeypatch):
    calls = []
    right = module.class_posterior
    monkeypatch.setattr(
        module, "class_posterior", lambda *given: calls.append(len(given[0])) or right(*given)
    )
    outcome = rounds.do(Task(labels(rounds.which, range(18)), (), False), 5)
    assert outcome.groups and outcome.believed
    assert calls == [90]


def test_what_more_labels_would_bring(rounds, monkeypatch):
    """After three rounds with other numbers of labels; those of before come with the task."""
    scores = iter([0.5, 0.6, 0.65])

    def measure(*_):
        score = next(scores)
        return {"map": score, "low": score - 0.05, "high": score + 0.05, "weak": []}

    monkeypatch.setattr(Rounds, "train", lambda *_: None)
    monkeypatch.setattr(Rounds, "measure", measure)
    before, forecasts = [], []
    for count in (12, 18, 24):
        task = Task(labels(rounds.which, range(count)), (), True, measured=tuple(before))
        before.append(rounds.do(task, 5).measured)
        forecasts.append(before[-1]["forecast"])
    assert forecasts[:2] == [[], []]
    assert [each["labels"] for each in forecasts[2]] == [6, 10, 25]
    assert all(each["low"] <= each["gain"] <= each["high"] for each in forecasts[2])


def test_the_map(rounds, tmp_path):
    """Made when it is asked for; then with the first task of the next start, and not again."""
    known = labels(rounds.which, range(6))
    rounds.map_file = tmp_path / "map.npz"
    assert rounds.do(Task(known, (), False), 5).layout is None
    made = rounds.do(Task({}, (), False, lay_out=True), 5)
    assert made.groups is None
    assert made.layout.places.shape == (90, 2)
    assert "drawing the map" in rounds.told
    assert rounds.do(Task(known, (), False), 5).layout is None
    again = Rounds(rounds.images, None, rounds.overrides, rounds.bars, rounds.map_file)
    first = again.do(Task(known, (), False), 5)
    assert first.layout.key == made.layout.key
    assert first.groups
    assert again.do(Task(known, (), False), 5).layout is None


def test_photos_that_came_later(rounds, rng, tmp_path, monkeypatch):
    """Those that are known keep their positions; the page is told those that it does not know."""
    rounds.map_file = tmp_path / "map.npz"
    first = rounds.do(Task({}, (), False, lay_out=True, known=90), 5)
    assert (len(first.layout.places), first.added) == (90, ())
    more = np.abs(np.eye(32)[[9, 9, 9]] + 0.05 * rng.normal(size=(3, 32))).astype(np.float32)
    features = np.concatenate([rounds.features, more])
    monkeypatch.setattr(learn, "features_of_photos", lambda images, *_: features[: len(images)])
    added = [("x.jpg", "a" * 64), ("y.jpg", "b" * 64), ("z.jpg", "c" * 64)]
    waiting = [added[:1], added[1:]]
    rounds.find_new = lambda images: waiting.pop(0) if waiting else []
    monkeypatch.setattr(learn, "choose", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # nobody is told
        rounds.do(Task({}, (), False, known=90), 5)
    monkeypatch.undo()
    monkeypatch.setattr(learn, "features_of_photos", lambda images, *_: features[: len(images)])
    known = labels(rounds.which, range(18))
    outcome = rounds.do(Task(known, (), False, known=90), 5)
    assert [*outcome.added] == added
    assert {90, 91, 92} & {*chain(*outcome.groups)}  # unlike all that has a label
    assert {p for found in outcome.believed.values() for p, _ in found} == {*range(18, 93)}
    assert outcome.layout is None
    again = rounds.do(Task({}, (), False, lay_out=True, known=93), 5)
    assert (len(again.layout.places), again.added) == (93, ())
    assert again.layout.key != first.layout.key


def test_what_is_new_in_a_folder(tmp_path, monkeypatch):
    """What can be read, is not excluded, and is not being written."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9), (name[0] == "a" and "red") or "blue").save(tmp_path / name)
    images = load_photos(tmp_path, None).images
    assert new_photos(images) == []
    names = ("0.png", "raw/1.png", "2.png", "3.jpg")
    (tmp_path / "raw").mkdir()
    for name in names[:3]:
        Image.new("RGB", (9, 9), "green").save(tmp_path / name)
        os.utime(tmp_path / name, (1e9, 1e9))
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    os.utime(tmp_path / "2.png")  # just now
    (found,) = new_photos(images, ["raw"])
    assert found[0] == "0.png"
    more = with_more(images, [found])
    assert (more.ids, more.digests[-1]) == (("a.png", "b.png", "0.png"), found[1])
    assert [name for name, _ in new_photos(more)] == ["raw/1.png"]
    monkeypatch.setattr(photos_module, "SETTLE", 0)
    assert [name for name, _ in new_photos(more)] == ["2.png", "raw/1.png"]
    tmp_path.rename(tmp_path.with_name("away"))
    assert new_photos(more) == []
    tmp_path.with_name("away").rename(tmp_path)


def test_too_few_labels_to_measure(rounds):
    found = rounds.learn(labels(rounds.which, range(3)), {})
    assert (found["queries"], found["map"], found["weak"]) == (0, None, [])


def test_three_photos(rounds):
    """Fewer photos than bits, and one of them held out; then none is left without a label."""
    rounds.images = ImageSet(
        "photos", ("0.jpg", "1.jpg", "2.jpg"), np.zeros((3, 0), np.uint8), (), ("0", "1", "2")
    )
    rounds.features, rounds.points = rounds.features[:3], rounds.points[:3]
    outcome = rounds.do(Task({0: ("a",), 1: ("b",), 2: ("b",)}, (), True), 5)
    assert outcome.measured["queries"] == 1
    assert (outcome.groups, outcome.believed) == ([], {})


def test_what_is_believed(rounds):
    """Each photo without a label in its class, the surest first; what was rejected never again."""
    known = labels(rounds.which, range(12))
    believed = believe(rounds, known, {})
    for name, found in believed.items():
        assert {p for p, _ in found} == {p for p in range(12, 90) if "abc"[rounds.which[p]] == name}
        assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
        assert all(1 / 3 < p <= 1 for _, p in found)
    second = believe(rounds, known, {12: ("a",), 13: ("a", "b", "c"), 14: ("z",)})
    assert dict(second["b"] + second["c"])[12] >= 0.5  # of what is left
    assert 13 not in {p for found in second.values() for p, _ in found}
    assert second["c"][:3] == believed["c"][:3]
    assert believe(rounds, labels(rounds.which, [0, 3]), {}) == {}
    assert believe(rounds, labels(rounds.which, range(90)), {}) == {}


def test_what_is_believed_of_several_classes(rounds):
    """A photo may be believed to be of two classes, or of none."""
    known = {p: (*"ab",) if p % 3 == 0 else ("b" if p % 3 == 1 else "c",) for p in range(30)}
    believed = believe(rounds, known, {33: ("b",)})
    of = {name: {p for p, _ in found} for name, found in believed.items()}
    assert 30 in of["a"] & of["b"]
    assert 33 in of["a"] - of["b"]
    assert {31, 34} <= of["b"] - of["a"]


def test_rejected_photos_are_not_taught(rounds, monkeypatch):
    taken = []
    monkeypatch.setattr(
        Rounds, "train", lambda self, labels, classes, taught, rest: taken.append(rest)
    )
    monkeypatch.setattr(Rounds, "measure", lambda *_: {})
    known = labels(rounds.which, range(12))
    rounds.learn(known, {20: ("a",)})
    assert taken[0].tolist() == [p for p in range(12, 90) if p != 20]


def test_suggestions(rounds):
    """The first of each class; no labelled one; none that was passed over, nor like it."""
    first = suggest(rounds, {}, (), 3)
    assert sorted(rounds.which[first]) == [0, 1, 2]
    known = labels(rounds.which, first[:1])
    second = suggest(rounds, known, (first[1],), 6)
    assert not {*first[:2]} & {*second}
    missing = ({0, 1, 2} - {*rounds.which[first[:2]].tolist()}).pop()
    assert rounds.which[second[0]] == missing


@pytest.mark.slow
def test_the_process(tmp_path):
    """Features, suggestions, a training; ended by a kill, it begins again; bad input is a line."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(24):
        pixels = rng.integers(0, 160, (7, 9, 3))
        pixels[..., number % 3] += 90
        picture = Image.fromarray(pixels.astype(np.uint8)).resize((72, 56))
        picture.save(tmp_path / "photos" / f"{number:02d}.png")
    images = load_photos(tmp_path / "photos", None).images
    few = ("data.image_size=64", "train.steps_per_epoch=2", "train.batch=8")
    outcomes = []
    process = Process(images, tmp_path / "work", few, 6, outcomes.append)

    def do(task):
        process.begin(task)
        for _ in range(3000):
            if process.progress() == Progress():
                return outcomes[-1]
            time.sleep(0.1)
        raise AssertionError(process.progress())

    try:
        first = [*chain(*do(Task({}, (), False)).groups)]
        assert len(first) == 6
        known = {p: ("rgb"[p % 3],) for p in first}
        second = do(Task(known, (), True))
        assert second.error == ""
        assert second.measured["labelled"] == 6
        assert {p for found in second.believed.values() for p, _ in found} == {*range(24)} - {
            *first
        }
        assert not {*first} & {*chain(*second.groups)}
        made = do(Task({}, (), False, lay_out=True))
        assert made.layout.places.shape == (24, 2)
        assert (tmp_path / "work" / "map.npz").exists()
        process.begin(Task(known, (), True))
        process.process.kill()
        while process.progress() != Progress():
            time.sleep(0.1)
        assert outcomes[-1].error == "learning has ended early; learning.log may say why"
        again = do(Task(known, (), False))  # of a process that begins anew
        assert again.groups == second.groups
        assert again.layout.key == made.layout.key
        for number in (0, 1):
            pixels = np.full((56, 72, 3), 250 * number, np.uint8)
            path = tmp_path / "photos" / f"new{1 - number}.png"
            Image.fromarray(pixels).save(path)
            os.utime(path, (1e9, 1e9))
            count = 24 + number
            more = do(Task(known, (), False, known=count))
            assert more.added == ((path.name, more.added[0][1]),)
            process.process.kill()  # the next one has the same photos in the same order
            process.process.join()
        anew = do(Task({}, (), False, lay_out=True, known=26))
        assert (anew.added, anew.layout.places.shape) == ((), (26, 2))
    finally:
        process.close()
    bad = Process(images, tmp_path / "work", ("data.image_size=8",), 6, outcomes.append)
    try:
        process = bad
        assert "data.image_size" in do(Task({}, (), False)).error
    finally:
        bad.close()
