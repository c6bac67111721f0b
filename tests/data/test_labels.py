import json

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_images
from ssah_tf.data.labels import normalise, read_labels, sparse_zeros
from ssah_tf.system.errors import DataError


def write(folder, content, name="labels.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def named(labels):
    """Path -> class names."""
    return {path: [labels.classes[i] for i in found] for path, found in labels.of.items()}


def refused(folder, content, name="labels.csv"):
    with pytest.raises(DataError) as caught:
        read_labels(write(folder, content, name))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{folder / name}")


PLAIN = {"a/1.jpg": ["cat"], "b.jpg": ["cat", "dog"], "c.jpg": [], "d.jpg": ["dog"]}


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na/1.jpg,cat\nb.jpg,cat;dog\nc.jpg,\nd.jpg,dog\n",
        "path,label\r\na/1.jpg,cat\r\nb.jpg,cat;dog\r\nc.jpg,\r\nd.jpg,dog",  # Windows
        "\ufeffpath,label\na/1.jpg,cat\nb.jpg,cat;dog\nc.jpg,\nd.jpg,dog\n",  # byte order mark
        "path,label\ra/1.jpg,cat\rb.jpg,cat;dog\rc.jpg,\rd.jpg,dog\r",  # old Macintosh
        'Label, PATH ,note\ncat,"a/1.jpg",x\n cat ; dog,b.jpg,\n;,./c.jpg,\ndog, d.jpg,"1,2"\n',
        "path,label\na\\1.jpg,cat\n\nb.jpg,dog;cat;\n./c.jpg,\nd.jpg,dog\n",
        "path,label\na/1.jpg,cat\nb.jpg,cat;dog\nc.jpg,\nd.jpg,dog\n".encode("utf-16"),
    ],
)
def test_csv_in_many_forms(tmp_path, content):
    labels = read_labels(write(tmp_path, content))
    assert labels.classes == ("cat", "dog")
    assert {path: sorted(names) for path, names in named(labels).items()} == PLAIN


def test_json_lines(tmp_path):
    rows = [
        {"path": "a/1.jpg", "label": "cat"},
        {"path": "b.jpg", "label": ["cat", "dog"]},
        {"path": "c.jpg", "label": None},
        {"path": "d.jpg", "label": "dog", "more": 1},
    ]
    content = "\r\n".join(map(json.dumps, rows)) + "\n\n"
    assert named(read_labels(write(tmp_path, content, "l.jsonl"))) == PLAIN


def test_names_with_comma_quote_newline_and_letters(tmp_path):
    content = 'path,label\n"a,b.jpg",x\n"say ""hi"".jpg",y\n"two\nlines.jpg",x\nÄ 漢.jpg,ÿ\n'
    content += "line\u2028and\x0cpage.jpg,x\n"
    assert set(read_labels(write(tmp_path, content)).of) == {
        "a,b.jpg",
        'say "hi".jpg',
        "two\nlines.jpg",
        "Ä 漢.jpg",
        "line\u2028and\x0cpage.jpg",
    }


def test_composed_and_decomposed_letters_are_the_same():
    assert normalise("cafe\u0301.jpg") == normalise("caf\u00e9.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ", line 1: expected the columns path and label, found nothing; the first line"),
        ("file,tag\n", ", line 1: expected the columns path and label, found file, tag; the first"),
        ("paths,label\n", "found paths, label; rename 'paths' to 'path'"),
        ("path,label,path\n", "found path, label, path; 'path' comes twice"),
        ("path;label\nx;y\n", "; columns must be separated by commas"),
        ("path\tlabel\nx\ty\n", "; columns must be separated by commas"),
        ("path,label\n", ": no rows"),
        ("path,label\na.jpg,x\nb.jpg\n", ", line 3: 1 columns, the header has 2"),
        ("path,label\na,b.jpg,x\n", ", line 2: 3 columns, the header has 2"),
        ("path,label\na.jpg,x\nb.jpg,x\n./a.jpg,y\n", ", line 4: 'a.jpg' is on line 2 already"),
        ("path,label\n,x\n", ", line 2: the path is empty"),
        ('path,label\n"a.jpg,x\n', ", line 2: unexpected end of data"),
        ("path,label\nok.jpg,x\n\u00e9.jpg,y\n".encode("latin-1"), ", line 3: not UTF-8 text"),
        (b"path,label\na\0.jpg,x\n", ": not a text file"),
        (b"\xff\xfep\0a", ": not a text file"),
    ],
)  # fmt: skip
def test_wrong_csv(tmp_path, content, message):
    if content == b"\xff\xfep\0a":
        message = ", line 1: not UTF-8 text"
    assert message in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"path": "a", "label": "x"}\n{"path": \n', ", line 2: not JSON ("),
        ('["a", "x"]\n', ", line 1: expected {"),
        ('{"label": "x"}\n', ", line 1: expected {"),
        ('{"path": 3}\n', ", line 1: expected {"),
        ('{"path": "a", "label": 3}\n', ", line 1: label must be a text"),
        ('{"path": "a"}\n{"path": "a"}\n', ", line 2: 'a' is on line 1 already"),
        ("\n\n", ": no rows"),
    ],
)
def test_wrong_json_lines(tmp_path, content, message):
    assert message in refused(tmp_path, content, "l.jsonl")


def test_other_files(tmp_path):
    with pytest.raises(DataError, match=r"l\.xlsx: label files end in \.csv, \.jsonl or \.txt"):
        read_labels(tmp_path / "l.xlsx")
    with pytest.raises(DataError, match=r"l\.csv: no such file"):
        read_labels(tmp_path / "l.csv")
    with pytest.raises(DataError, match=r"expected the lists train\.txt and test\.txt"):
        read_labels(tmp_path)


@pytest.mark.parametrize("rows", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_rows(tmp_path, rows):
    lines = (f"folder/{k:07d}.jpg,class {k % 1000}" for k in range(rows))
    labels = read_labels(write(tmp_path, "path,label\n" + "\n".join(lines)))
    assert len(labels.of) == rows
    assert len(labels.classes) == 1000
    assert named_one(labels, f"folder/{rows - 1:07d}.jpg") == ["class 999"]


def named_one(labels, path):
    return [labels.classes[i] for i in labels.of[path]]


def test_research_list(tmp_path):
    labels = read_labels(
        write(tmp_path, "i/1.jpg 0 1 1\ni/2.jpg 1 0 0\r\ni/3.jpg 0 0 0\n", "l.txt")
    )
    assert labels.classes == ("0", "1", "2")
    assert labels.of == {"i/1.jpg": (1, 2), "i/2.jpg": (0,), "i/3.jpg": ()}
    assert labels.complete


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg 0 1\nb.jpg 0 1 0\n", ", line 2: expected a path and 2 marks of 0 or 1"),
        ("a.jpg 0 2\n", ", line 1: expected a path and 2 marks"),
        ("a.jpg\n", ", line 1: expected a path and marks"),
        ("a.jpg 0  1\n", ", line 1: expected a path and 3 marks"),
        ("a.jpg 0 1\na.jpg 1 0\n", ", line 2: 'a.jpg' comes twice"),
        ("\n", ": no rows"),
    ],
)
def test_wrong_list(tmp_path, content, message):
    assert message in refused(tmp_path, content, "l.txt")


def test_folder_of_lists(tmp_path):
    """The usual form: database.txt repeats the training images; test.txt asks."""
    write(tmp_path, "1.jpg 0 1\n2.jpg 1 0\n", "train.txt")
    write(tmp_path, "9.jpg 1 1\n", "test.txt")
    write(tmp_path, "1.jpg 0 1\n2.jpg 1 0\n3.jpg 1 0\n", "database.txt")
    labels = read_labels(tmp_path)
    assert set(labels.of) == {"1.jpg", "2.jpg", "3.jpg", "9.jpg"}
    assert labels.queries == {"9.jpg"}
    write(tmp_path, "1.jpg 0 1\n9.jpg 1 0\n", "train.txt")
    with pytest.raises(DataError, match=r"'9\.jpg' is in train\.txt and in test\.txt"):
        read_labels(tmp_path)
    write(tmp_path, "1.jpg 0 1 1\n", "train.txt")
    with pytest.raises(DataError, match=r"test\.txt: 2 classes, but train\.txt has 3"):
        read_labels(tmp_path)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for k in range(12):
        path = root / f"{k % 3}" / f"photo {k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), k).save(path)
    return root


def test_folder_with_a_label_file(photos, tmp_path):
    rows = "".join(f"{k % 3}/photo {k}.png,{'even' if k % 2 == 0 else 'odd'}\n" for k in range(6))
    table = write(tmp_path, "path,label\n" + rows + "7/gone.png,odd\n0/photo 9.png,odd;even\n")
    loaded = load_images(str(photos), str(table))
    images = loaded.images
    assert (len(images), images.classes) == (12, ("even", "odd"))
    assert loaded.missing == ["7/gone.png"]
    row = {name: images.labels[k].tolist() for k, name in enumerate(images.ids)}
    assert row["1/photo 1.png"] == [0, 1]
    assert row["0/photo 9.png"] == [1, 1]
    assert row["2/photo 8.png"] == [0, 0]  # not named: unlabelled


def test_a_research_list_names_all_images(photos, tmp_path):
    table = write(tmp_path, "0/photo.png 1 0\n1/p1.png 0 1\n2/p2.png 1 1\n", "l.txt")
    for name, old in (("0/photo.png", 0), ("1/p1.png", 1), ("2/p2.png", 2)):
        (photos / f"{old}" / f"photo {old}.png").rename(photos / name)
    assert load_images(str(photos), str(table)).images.ids == (
        "0/photo.png",
        "1/p1.png",
        "2/p2.png",
    )


def test_label_files_that_do_not_fit(photos, tmp_path):
    for content, message in (
        (
            "path,label\nx.png,a\ny.png,b\n",
            "none of its 2 paths is an image below .*, for example 'x.png'",
        ),
        ("path,label\n0/photo 0.png,a\n", "1 classes with images, at least 2"),
    ):
        with pytest.raises(DataError, match=message):
            load_images(str(photos), str(write(tmp_path, content)))
    with pytest.raises(DataError, match="no such folder"):
        load_images(str(tmp_path / "none"), str(tmp_path / "labels.csv"))
    with pytest.raises(DataError, match="leave --labels out"):
        load_images("fashion", str(tmp_path / "labels.csv"))


def test_sets_of_keras(monkeypatch):
    import keras

    def arrays():
        x = np.arange(6 * 4 * 4).reshape(6, 4, 4).astype(np.uint8)
        return (x[:4], np.array([0, 1, 2, 3])), (x[4:], np.array([9, 9]))

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", arrays)
    images = load_images("keras:fashion_mnist").images
    assert images.official_queries == ("test/00000", "test/00001")
    assert images.pixels.shape == (6, 4, 4, 3)
    assert images.classes[images.labels[5].argmax()] == "ankle boot"

    def unreachable():
        raise Exception("URL fetch failure on https://x: refused\nmore")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", unreachable)
    with pytest.raises(DataError) as caught:
        load_images("keras:cifar10")
    assert len(str(caught.value).splitlines()) == 1
    assert "cannot be downloaded (URL fetch failure on https://x: refused)" in str(caught.value)
    with pytest.raises(DataError, match="keras:mnist: choose from cifar10, cifar100"):
        load_images("keras:mnist")


def test_zeros_that_take_memory_where_they_are_written():
    labels = sparse_zeros(3, 5)
    labels[1, 2] = 1
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0] * 5, [0, 0, 1, 0, 0], [0] * 5]
    assert sparse_zeros(0, 5).shape == (0, 5)
    assert sparse_zeros(3, 0).shape == (3, 0)
