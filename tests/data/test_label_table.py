"""The table that a person fills in."""

import subprocess
import sys
import threading

import pytest

from ssah_tf.data import label_table
from ssah_tf.data.label_table import (
    LabelTable,
    can_be_named,
    check_table,
    label_of,
    turn,
    write_table,
)
from ssah_tf.data.labels import read_labels
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import write_atomically


def test_a_new_table_is_a_label_file(tmp_path):
    path = tmp_path / "to_label.csv"
    assert write_table(path, None, ["b/2.jpg", 'a, "b".jpg', "é.jpg"]) == 3
    assert path.read_bytes().startswith(b"path,label\nb/2.jpg,\n")
    assert read_labels(path).of == {"b/2.jpg": (), 'a, "b".jpg': (), "é.jpg": ()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["", "\r\n"])
def test_what_is_there_stays_byte_for_byte(tmp_path, encoding, end):
    """Columns, their order, line ends and the encoding; new rows are like the old ones."""
    path = tmp_path / "labels.csv"
    content = ("Note, Label,path\r\nmüde,cat;dog,a.jpg\r\n,,./b.jpg" + end).encode(encoding)
    path.write_bytes(content)
    assert write_table(path, path, ["b.jpg", "c.jpg", "d.jpg"]) == 2
    after = path.read_bytes()
    assert after.startswith(content)
    assert after.decode(encoding).endswith(",,./b.jpg\r\n,,c.jpg\r\n,,d.jpg\r\n")
    found = read_labels(path)
    assert found.classes == ("cat", "dog")
    assert found.of == {"a.jpg": (0, 1), "b.jpg": (), "c.jpg": (), "d.jpg": ()}


def test_a_longer_list_goes_on_from_a_shorter_one(tmp_path):
    path = tmp_path / "to_label.csv"
    write_table(path, None, ["a.jpg", "b.jpg"])
    assert write_table(path, None, ["a.jpg", "b.jpg", "c.jpg"]) == 1
    assert path.read_text() == "path,label\na.jpg,\nb.jpg,\nc.jpg,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "path,label\na.jpg,x;y\nb.jpg,\n"),
        ("labels.jsonl", '{"path": "a.jpg", "label": ["x", "y"]}\n{"path": "b.jpg"}\n'),
        ("labels.txt", "a.jpg 1 1\nb.jpg 0 0\n"),
    ],
)
def test_the_table_has_the_labels_of_another_file(tmp_path, name, content):
    labels, path = tmp_path / name, tmp_path / "to_label.csv"
    labels.write_text(content)
    write_table(path, None, ["b.jpg"])  # of an earlier command
    check_table(path, labels)
    assert write_table(path, labels, ["b.jpg", "c.jpg"]) == 1
    assert labels.read_text() == content
    found = read_labels(path)
    assert found.of == {"a.jpg": (0, 1), "b.jpg": (), "c.jpg": ()}


def test_labels_are_not_overwritten(tmp_path):
    path, other = tmp_path / "to_label.csv", tmp_path / "labels.csv"
    for file in (path, other):
        file.write_text("path,label\na.jpg,x\n")
    check_table(path, path)
    for labels in (None, other, tmp_path / "gone.csv"):
        with pytest.raises(SsahError, match=r"to_label.csv has labels already: go on .* --labels"):
            check_table(path, labels)
    with pytest.raises(SsahError, match=r"must end in .csv"):
        check_table(tmp_path / "to_label.xlsx", None)
    (tmp_path / "other.csv").write_text("name\nx\n")
    with pytest.raises(SsahError, match="expected the columns path and label"):
        check_table(tmp_path / "other.csv", None)


@pytest.mark.parametrize("name", ["a.jpg", "a b/c;d,e.jpg", '"quoted".jpg', "line\nend.jpg"])
def test_a_name_that_can_be_written_is_read(tmp_path, name):
    assert can_be_named(name)
    write_table(tmp_path / "t.csv", None, [name])
    assert [*read_labels(tmp_path / "t.csv").of] == [name]


@pytest.mark.parametrize("name", ["\udcff.jpg", " a.jpg", "a\rb.jpg", "a\\b.jpg"])
def test_a_name_that_cannot(name):
    assert not can_be_named(name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_label_is_changed_and_nothing_else(tmp_path, encoding, newline):
    rows = ["Note, Label ,path", 'ü "x", cat;dog,a.jpg', "", ' "1,""2""","old", "b,1.jpg"', ",,c"]
    path = tmp_path / "labels.csv"
    path.write_bytes(newline.join(rows).encode(encoding))
    table = LabelTable(path)
    assert table.set({"b,1.jpg": ("bird",), "d.jpg": ("cat", 'a "b"')}) == ["d.jpg"]
    rows[3] = ' "1,""2""",bird, "b,1.jpg"'
    end = "\n" if newline == "\r" else newline
    after = newline.join(rows) + end + ',"cat;a ""b""",d.jpg' + end
    assert path.read_bytes().decode(encoding) == after
    assert table.set({"b,1.jpg": (), "c": ("x",)}) == []
    assert LabelTable(path).labels == {
        "a.jpg": ("cat", "dog"),
        "b,1.jpg": (),
        "c": ("x",),
        "d.jpg": ("cat", 'a "b"'),
    }


def test_a_row_of_several_lines(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('path,label,note\na.jpg,x,"one\n\ntwo"\n\n"b\n.jpg",y,\nc"d.jpg,z,\n')
    LabelTable(path).set({"a.jpg": ("new",), "b\n.jpg": ("y", "z"), 'c"d.jpg': ()})
    after = 'path,label,note\na.jpg,new,"one\n\ntwo"\n\n"b\n.jpg",y;z,\nc"d.jpg,,\n'
    assert path.read_text() == after


def test_others_may_write_meanwhile(tmp_path):
    """Two who have read the same file, and a spreadsheet: what each has written stays."""
    path = tmp_path / "labels.csv"
    one, other = LabelTable(path), LabelTable(path)
    assert not path.exists()
    one.set({"a.jpg": ("x",), "b.jpg": ("x",)})
    other.set({"b.jpg": ("y",), "c.jpg": ("z",)})
    path.write_text(path.read_text().replace("c.jpg,z", "c.jpg,edited").replace("label", "label,n"))
    with pytest.raises(SsahError, match="line 2: 2 columns, the header has 3"):
        one.set({"a.jpg": ("w",)})
    assert one.labels["a.jpg"] == ("x",)
    path.write_text("path,label\nc.jpg,edited\nb.jpg,y\na.jpg,x\n")
    one.set({"a.jpg": ("w",)})
    assert path.read_text() == "path,label\nc.jpg,edited\nb.jpg,y\na.jpg,w\n"
    assert other.refresh() and not other.refresh()
    assert other.labels == one.labels
    path.unlink()  # a spreadsheet that writes it anew
    other.set({"c.jpg": ()})
    assert path.read_text() == "path,label\nc.jpg,\nb.jpg,y\na.jpg,w\n"


#: Adds labels to one photo, and rows of its own, beside others who do the same.
WRITER = """
import sys
from pathlib import Path
from ssah_tf.data.label_table import LabelTable

def write(table, name, count):
    for number in range(count):
        with table.held():
            table.set({"all.jpg": (*table.labels.get("all.jpg", ()), f"{name}{number}")})
        table.set({f"{name}/{number}.jpg": (name,)})

if __name__ == "__main__":
    write(LabelTable(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
"""


def all_is_there(path, names, count):
    found = LabelTable(path).labels
    assert sorted(found.pop("all.jpg")) == sorted(f"{n}{k}" for n in names for k in range(count))
    assert found == {f"{n}/{k}.jpg": (n,) for n in names for k in range(count)}


def test_threads_that_write_at_once(tmp_path):
    """Of one table and of two of the same file; whoever reads meanwhile sees a whole state."""
    space = {"__name__": "writer"}
    exec(WRITER, space)
    path = tmp_path / "labels.csv"
    tables = [LabelTable(path), LabelTable(path)]
    threads = [
        threading.Thread(target=space["write"], args=[tables[turn % 2], name, 12])
        for turn, name in enumerate("abcd")
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for labels in tables[0].labels.values():  # not changed while it is read
            assert labels
        tables[0].refresh()
    all_is_there(path, "abcd", 12)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.csv"]


def test_processes_that_write_at_once(tmp_path):
    """Nor does a person's edit in between get lost."""
    path, link = tmp_path / "labels.csv", tmp_path / "link.csv"
    link.symlink_to(path)
    path.write_text("path,label\nmine.jpg,\n")
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(place), name, "25"])
        for place, name in ((path, "a"), (link, "b"))
    ]
    mine = LabelTable(path)
    while not any(label.startswith("a") for label in mine.labels.get("all.jpg", ())):
        mine.refresh()
        assert all(one.poll() in (None, 0) for one in running)
    with turn(path):  # as far as an editor can
        write_atomically(path, path.read_bytes().replace(b"mine.jpg,", b"mine.jpg,by hand"))
    assert [one.wait(120) for one in running] == [0, 0]
    mine.refresh()
    assert mine.labels["mine.jpg"] == ("by hand",)
    assert link.is_symlink()
    mine.set({"mine.jpg": ()})
    text = path.read_text()
    assert "mine.jpg,\n" in text
    path.write_text(text.replace("mine.jpg,\n", ""))
    all_is_there(path, "ab", 25)


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "gone" / "labels.csv"
    with pytest.raises(SsahError, match=r"cannot be written \(there is no such folder"):
        LabelTable(path).set({"a.jpg": ("x",)})
    assert not path.parent.exists()


def test_what_cannot_be_written_is_not_believed(tmp_path, monkeypatch):
    path = tmp_path / "labels.csv"
    table = LabelTable(path)
    table.set({"a.jpg": ("x",)})

    def full(*_):
        raise SsahError("no space left")

    monkeypatch.setattr(label_table, "write_atomically", full)
    with pytest.raises(SsahError, match="no space left"):
        table.set({"a.jpg": ("y",), "b.jpg": ("z",)})
    assert table.labels == {"a.jpg": ("x",)}
    monkeypatch.undo()
    table.set({"b.jpg": ("z",)})
    assert path.read_text() == "path,label\na.jpg,x\nb.jpg,z\n"


@pytest.mark.parametrize("text", ["", "  ", "a;b", "a\nb", "x" * 201])
def test_what_is_no_label(text):
    with pytest.raises(SsahError, match="a label has 1 to 200 characters"):
        label_of(text)
    assert label_of("  Möwe, Ente ") == "Möwe, Ente"
