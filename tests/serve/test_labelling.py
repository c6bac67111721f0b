"""Labelling without a page: what is on disk after each change, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from ssah_tf.data.label_round import Layout, Outcome, Progress
from ssah_tf.data.label_table import LabelTable
from ssah_tf.serve.label_journal import Journal, Verdict
from ssah_tf.serve.label_state import labelling_state
from ssah_tf.serve.labelling import Labelling
from ssah_tf.system.errors import SsahError

PATHS = ("a.jpg", "b.jpg", "c.jpg", "d/e.jpg")


class Hand:
    """A learner that does nothing by itself; keeps the tasks."""

    def __init__(self):
        self.tasks, self.now = [], Progress()

    def begin(self, task):
        self.tasks.append(task)
        self.now = Progress("training", 1, 2)

    def progress(self):
        return self.now


@pytest.fixture
def begin(tmp_path):
    """Starts labelling: `begin(paths, digests)`; again, it is as after a restart."""

    def start(paths=PATHS, digests=None):
        digests = digests or [f"{path:0>64}" for path in paths]
        table = LabelTable(tmp_path / "labels.csv")
        labelling = Labelling(tmp_path, paths, digests, table, Journal(tmp_path / "work"))
        labelling.learner = Hand()
        return labelling

    return start


def verdicts(labelling):
    return [labelling.verdict(position) for position in range(len(labelling))]


def rows(tmp_path):
    return (tmp_path / "labels.csv").read_text().splitlines()[1:]


CAT, DOG, NONE = Verdict(("cat",)), Verdict(("dog",)), Verdict()


def test_each_action(begin, tmp_path):
    labelling = begin()
    labelling.change([0, 1], "label", " cat ")
    assert rows(tmp_path) == ["a.jpg,cat", "b.jpg,cat"]
    labelling.change([0, 2], "add", "dog")
    labelling.change([1], "skip")
    labelling.change([3], "unsure")
    assert rows(tmp_path) == ["a.jpg,cat;dog", "b.jpg,", "c.jpg,dog"]
    both, skipped, unsure = Verdict(("cat", "dog")), Verdict((), "skipped"), Verdict((), "unsure")
    assert verdicts(labelling) == [both, skipped, DOG, unsure]
    labelling.change([0], "remove", "cat")
    labelling.change([3], "clear")
    assert verdicts(labelling) == verdicts(begin()) == [DOG, skipped, DOG, NONE]
    assert len(labelling.journal.steps) == 6
    labelling.change([0], "label", "dog")  # nothing new
    assert len(labelling.journal.steps) == 6


def test_undo_of_any_depth_also_after_a_restart(begin, tmp_path):
    labelling, states = begin(), []
    for photos, action, label in (
        ([0, 1], "label", "cat"),
        ([1, 2], "label", "dog"),
        ([1], "skip", ""),
        ([2, 3], "add", "cat"),
        ([0, 3], "unsure", ""),
    ):
        states.append(verdicts(labelling))
        labelling.change(photos, action, label)
    for turn, state in enumerate(reversed(states)):
        if turn == 2:
            labelling = begin()
        labelling.undo()
        assert verdicts(labelling) == verdicts(begin()) == state
    with pytest.raises(SsahError, match="nothing to undo"):
        labelling.undo()
    assert rows(tmp_path) == ["a.jpg,", "b.jpg,", "c.jpg,", "d/e.jpg,"]


def test_an_edit_from_outside(begin, tmp_path):
    """It is noticed, counts more than a mark, and is not undone."""
    labelling = begin()
    labelling.change([0, 1], "label", "cat")
    labelling.change([2], "skip")
    revision = labelling.progress()[0]
    (tmp_path / "labels.csv").write_text("note,path,label\nx,a.jpg,dog\n,b.jpg,cat\n,c.jpg,cat\n")
    assert labelling.progress()[0] > revision
    assert verdicts(labelling) == [DOG, CAT, CAT, NONE]
    labelling.undo()
    assert labelling.undo() == 1
    assert verdicts(labelling) == [DOG, NONE, CAT, NONE]
    assert rows(tmp_path) == ["x,a.jpg,dog", ",b.jpg,", ",c.jpg,cat"]
    (tmp_path / "labels.csv").write_text("no table")
    for change in (
        labelling.undo,
        lambda: labelling_state(labelling),
        lambda: labelling.change([0], "skip"),
    ):
        with pytest.raises(SsahError, match=r"labels.csv|nothing to undo"):
            change()
    assert (tmp_path / "labels.csv").read_text() == "no table"


def test_photos_that_have_moved(begin, tmp_path):
    """Their labels are offered; no row is dropped; a name that was taken by another counts not."""
    begin().change([0, 1], "label", "cat")
    labelling = begin(("b.jpg", "new/a.jpg"), [f"{'x':0>64}", f"{'a.jpg':0>64}"])
    assert labelling_state(labelling)["moved"] == 1
    assert verdicts(labelling) == [CAT, NONE]
    labelling.take_moved()
    assert verdicts(labelling) == [CAT, CAT]
    assert labelling_state(labelling)["moved"] == 0
    assert rows(tmp_path) == ["a.jpg,cat", "b.jpg,cat", "new/a.jpg,cat"]
    labelling.undo()
    assert labelling_state(labelling)["moved"] == 1


def test_copies_have_labels_of_their_own(begin):
    labelling = begin(("a.jpg", "b.jpg"), ["0" * 64] * 2)
    labelling.change([1], "label", "cat")
    labelling.change([0], "label", "cat")
    assert labelling.undo() == 1
    assert verdicts(labelling) == [NONE, CAT]


def test_learning(begin):
    labelling = begin()
    labelling.change([0], "label", "cat")
    with pytest.raises(SsahError, match="two classes"):
        labelling.learn(train=True)
    labelling.change([1], "label", "dog")
    labelling.change([2], "skip")
    labelling.learn(train=True)
    task = labelling.learner.tasks[-1]
    assert (task.labels, task.passed, task.train) == ({0: ("cat",), 1: ("dog",)}, (2,), True)
    assert (task.measured, task.lay_out) == ((), False)
    with pytest.raises(SsahError, match="learning already"):
        labelling.learn(train=False)
    labelling.change([3], "label", "dog")  # meanwhile
    measured = {"map": 0.5}
    labelling.take(Outcome([[3], [0, 1]], measured))
    labelling.learner.now = Progress()
    state = labelling_state(labelling)
    assert [[photo["id"] for photo in group] for group in state["groups"]] == [[3], [0, 1]]
    assert labelling_state(begin())["measured"] == [measured]
    labelling.take(Outcome(error="no room"))
    state = labelling_state(labelling)
    assert (state["error"], len(state["groups"])) == ("no room", 2)
    labelling.learn(train=False)
    assert labelling_state(labelling)["error"] == ""
    assert labelling.learner.tasks[-1].measured == (measured,)
    with pytest.raises(SsahError, match="learning already"):
        labelling.draw_map()


BELIEVED = {"cat": [(1, 0.9), (2, 0.75), (3, 0.5)], "dog": [(0, 0.6)]}


def ids(labelling):
    return [[photo["id"] for photo in group] for group in labelling_state(labelling)["groups"]]


def left(labelling):
    return {each["name"]: each["photos"] for each in labelling_state(labelling)["believed"]}


def test_what_is_believed_is_accepted_or_rejected(begin, tmp_path, monkeypatch):
    """Surest or most doubtful first; what was rejected is known by content, and can be undone."""
    monkeypatch.setattr("ssah_tf.serve.labelling.ROW", 2)
    labelling = begin()
    labelling.take(Outcome([[3, 0]], believed=BELIEVED))
    assert ids(labelling) == [[3, 0]]
    assert left(labelling) == {"cat": 3, "dog": 1}
    labelling.correct("cat", doubtful=False)
    assert ids(labelling) == [[1, 2], [3]]
    assert [p["probability"] for g in labelling_state(labelling)["groups"] for p in g] == [
        0.9,
        0.75,
        0.5,
    ]
    labelling.correct("cat", doubtful=True)
    assert ids(labelling) == [[3], [2], [1]]
    labelling.change([3], "reject", "cat")
    labelling.change([2], "label", "cat")
    assert verdicts(labelling) == [NONE, NONE, CAT, Verdict(rejected=("cat",))]
    assert rows(tmp_path) == ["c.jpg,cat"]
    assert ids(labelling) == [[3], [2], [1]]  # what is shown stays
    assert left(labelling) == {"cat": 1, "dog": 1}
    labelling.correct("cat", doubtful=True)
    assert ids(labelling) == [[1]]
    labelling.learn(train=False)
    assert labelling.learner.tasks[-1].rejected == {3: ("cat",)}
    labelling.correct("", doubtful=False)
    assert ids(labelling) == [[3, 0]]
    assert labelling_state(labelling)["groups"][0][0]["probability"] is None

    moved = begin(("x.jpg",), [f"{'d/e.jpg':0>64}"])
    assert moved.verdict(0).rejected == ("cat",)
    again = begin()
    again.take(Outcome([], believed=BELIEVED))
    assert left(again) == {"cat": 1, "dog": 1}
    again.undo()
    again.undo()
    assert verdicts(again) == [NONE] * 4
    assert left(again) == {"cat": 3, "dog": 1}
    with pytest.raises(
        SsahError, match="no photo is left that is believed to be bird: learn again"
    ):
        again.correct("bird", doubtful=False)


def test_rejected_and_what_else_is_said(begin, tmp_path):
    """A label takes its rejection back, a mark leaves it; a label that is wrong is taken off."""
    labelling = begin()
    labelling.change([0], "label", "cat")
    labelling.change([0], "reject", "cat")
    assert labelling.verdict(0) == Verdict(rejected=("cat",))
    assert rows(tmp_path) == ["a.jpg,"]
    labelling.change([0], "reject", "dog")
    labelling.change([0], "unsure")
    assert labelling.verdict(0) == Verdict((), "unsure", ("cat", "dog"))
    labelling.change([0], "add", "dog")
    assert labelling.verdict(0) == Verdict(("dog",), "", ("cat",))
    labelling.change([0], "clear")
    assert labelling.verdict(0) == NONE
    labelling.undo()
    assert labelling.verdict(0) == begin().verdict(0) == Verdict(("dog",), "", ("cat",))


def test_photos_that_came_later(begin, tmp_path):
    """They have the next numbers, and can be labelled; the map lacks them until it is made anew."""
    labelling = begin()

    def layout(key, count):
        numbers = np.zeros(count, np.int64)
        return Layout(key, np.zeros((count, 2), np.float32), numbers, numbers[:1])

    labelling.draw_map()
    assert labelling.learner.tasks[-1].known == 4
    labelling.take(Outcome(None, layout=layout("first", 4)))
    labelling.learner.now = Progress()
    labelling.draw_map()  # it is there
    assert len(labelling.learner.tasks) == 1
    labelling.learn(train=False)
    labelling.take(Outcome([[4, 0]], added=[("new.jpg", "a" * 64), ("d/f.jpg", "b" * 64)]))
    labelling.learner.now = Progress()
    state = labelling_state(labelling)
    assert (state["photos"], state["map"], state["map_lacks"]) == (6, "first", 2)
    assert state["groups"][0][0]["path"] == "new.jpg"
    labelling.change([5], "label", "cat")
    assert rows(tmp_path) == ["d/f.jpg,cat"]
    labelling.undo()
    assert rows(tmp_path) == ["d/f.jpg,"]
    labelling.change([4], "label", "dog")
    labelling.draw_map()
    task = labelling.learner.tasks[-1]
    assert (task.lay_out, task.known) == (True, 6)
    labelling.take(Outcome(None, layout=layout("second", 6)))
    labelling.learner.now = Progress()
    assert labelling_state(labelling)["map_lacks"] == 0
    moved = begin(("here.jpg",), ["a" * 64])  # they are known by content at the next start, too
    assert labelling_state(moved)["moved"] == 1


def test_what_was_learnt_cannot_be_kept(begin, monkeypatch):
    """A line says so; the next photos are shown all the same."""
    labelling = begin()

    def full(*_):
        raise SsahError("no space left")

    monkeypatch.setattr(labelling.journal, "keep_measured", full)
    labelling.take(Outcome([[1]], {"map": 0.5}))
    assert labelling_state(labelling)["error"] == "no space left"
    assert ids(labelling) == [[1]]


def test_no_more_is_shown_than_asked_for(tmp_path):
    labelling = Labelling(
        tmp_path, PATHS, PATHS, LabelTable(tmp_path / "l.csv"), Journal(tmp_path / "w"), count=2
    )
    labelling.take(Outcome([], believed=BELIEVED))
    labelling.correct("cat", doubtful=False)
    assert ids(labelling) == [[1, 2]]


def test_classes_keep_their_order(begin, tmp_path):
    """So that their keys stay: as they were given, then those of the table."""
    (tmp_path / "labels.csv").write_text("path,label\na.jpg,z\n")
    labelling = begin()
    labelling.change([1], "label", "m")
    labelling.change([2], "label", "b")
    labelling.change([0], "label", "b")
    names = [each["name"] for each in labelling_state(labelling)["classes"]]
    assert names == ["m", "b"]
    assert [each["name"] for each in labelling_state(begin())["classes"]] == names


@pytest.mark.parametrize("line", [b"[]", b'{"undo": true, "changes": []}', b'{"a": 1}', b"\xff"])
def test_a_journal_of_others(begin, tmp_path, line):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "steps.jsonl").write_bytes(line + b"\n")
    with pytest.raises(SsahError, match=r"steps.jsonl, line 1: damaged; move the file"):
        begin()


def test_a_full_disk(begin, tmp_path, monkeypatch):
    """What cannot be kept is refused, and leaves no half line."""
    labelling = begin()
    labelling.change([0], "skip")
    before = (tmp_path / "work" / "steps.jsonl").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SsahError, match="No space left on device"):
        labelling.change([1], "label", "cat")
    monkeypatch.undo()
    assert (tmp_path / "work" / "steps.jsonl").read_bytes() == before
    labelling.change([1], "label", "dog")
    assert verdicts(begin())[1] == DOG


LABELS = """
    import sys
    from pathlib import Path
    from ssah_tf.data.label_table import LabelTable
    from ssah_tf.serve.label_journal import Journal
    from ssah_tf.serve.labelling import Labelling
    root = Path(sys.argv[1])
    paths = [f"{i}.jpg" for i in range(2000)]
    table, journal = LabelTable(root / "labels.csv"), Journal(root / "work")
    labelling = Labelling(root, paths, [f"{i:064x}" for i in range(2000)], table, journal)
    for i in range(int(sys.argv[2]), 2000):
        labelling.change([i], *(("skip",) if i % 3 == 2 else ("label", f"c{i % 7}")))
        print(i, flush=True)
"""


@pytest.mark.slow
def test_a_kill_loses_at_most_what_was_not_answered(tmp_path):
    """At 20 moments, one process after another."""
    done = -1
    for turn in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(LABELS), str(tmp_path), str(done + 1)],
            stdout=subprocess.PIPE,
        )
        first = process.stdout.readline()
        time.sleep(0.003 * turn)
        process.send_signal(signal.SIGKILL)
        done = int((first + process.communicate()[0]).split()[-1])
        table, journal = LabelTable(tmp_path / "labels.csv"), Journal(tmp_path / "work")
        for i in range(done + 1):
            if i % 3 == 2:
                assert journal.marks[f"{i:064x}"] == "skipped"
            else:
                assert table.labels[f"{i}.jpg"] == (f"c{i % 7}",)
        assert len(table.labels) <= done + 2
        assert done + 1 <= len(journal.steps)
        for line in (tmp_path / "work" / "steps.jsonl").read_bytes().splitlines():
            json.loads(line)
    assert done >= 20
