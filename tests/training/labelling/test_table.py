"""The table that a person fills in."""

import pytest

from ssah_tf.data.labels import read_labels
from ssah_tf.system.errors import SsahError
from ssah_tf.training.labelling.table import can_be_named, check_table, write_table


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
