"""Class names that look equal are one class, wherever they come from."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.check import check_data
from ssah_tf.data.labels import read_labels
from ssah_tf.data.names import class_name, odd_names
from ssah_tf.data.sources.by_name import load_images

#: As it is compared -> forms that look the same.
FORMS = {
    "Caf\u00e9": [
        "Cafe\u0301",
        " Caf\u00e9 ",
        "Caf\u00e9\u200b",
        "\ufeffCaf\u00e9",
        "Caf\u00ade\u0301",
    ],
    "dog": [
        "do\u200bg",
        "d\u2060og",
        "dog\u200c",
        "dog\u200d",
        "d\u200dog",
        "\u200edog\u200f",
        "dog\u00a0",
        "\u3000dog\t",
    ],
    "blue sky": ["blue\u00a0sky", "blue\u2009sky", "blue\u200b sky", " blue sky"],
    "\u00c5": ["\u212b", "A\u030a", "A\u200b\u030a"],
    "\ud55c": ["\u1112\u1161\u11ab"],
}


@pytest.mark.parametrize(("name", "form"), [(n, form) for n in FORMS for form in [n, *FORMS[n]]])
def test_names_that_look_equal_are_equal(name, form):
    assert class_name(form) == name
    assert class_name(class_name(form)) == name


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, kept apart
        "salt|pepper",
        "a  b",
        "I",
        "\ufb01",  # the ligature looks like fi, but NFC keeps it
    ],
)
def test_names_that_look_different_stay_so(name):
    assert class_name(name) == name


def test_tables_and_folders_agree(tmp_path):
    """One class by a table, by a list of JSON, and by folders."""
    forms = ["Caf\u00e9", *FORMS["Caf\u00e9"]]
    for k, form in enumerate([*forms, "dog"]):
        (tmp_path / "p" / form).mkdir(parents=True)
        Image.fromarray(np.full((9, 9, 3), 9 * k, np.uint8)).save(tmp_path / "p" / form / "a.png")
    images = load_images(str(tmp_path / "p")).images
    assert images.classes == ("Caf\u00e9", "dog")
    assert images.labels.sum(axis=0).tolist() == [len(forms), 1]
    table = tmp_path / "l.csv"
    table.write_text("path,label\n" + "".join(f"{k}.png,{f};dog\n" for k, f in enumerate(forms)))
    lines = tmp_path / "l.jsonl"
    lines.write_text(
        "".join(json.dumps({"path": f"{k}", "label": f}) + "\n" for k, f in enumerate(forms))
    )
    assert read_labels(table).classes == ("Caf\u00e9", "dog")
    assert read_labels(lines).classes == ("Caf\u00e9",)
    both = tmp_path / "both.csv"
    both.write_text(f"path,label\na.png,{';'.join(forms)}\n")
    assert read_labels(both).of == {"a.png": (0,)}  # said six times, one label


def test_a_space_before_a_quote(tmp_path):
    file = tmp_path / "l.csv"
    file.write_text('path, label\na.jpg, "sea;sand"\nb.jpg, "sea"\n"c, d.jpg", "x, y"\n')
    found = read_labels(file)
    assert found.classes == ("sand", "sea", "x, y")
    assert found.of == {"a.jpg": (1, 0), "b.jpg": (1,), "c, d.jpg": (2,)}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        *((name, "an empty cell") for name in ("nan", "NaN", "None", "null", "N/A", "<NA>")),
        *((name, "a list") for name in ("['x', 'y']", '["x"]', "('a',)", "[a, b]")),
        *(
            (name, "stray quotes")
            for name in ("'sea'", '"sea', "\u201csea\u201d", "sand\u201d", "`a`")
        ),
    ],
)
def test_accidents_are_told(name, hint):
    (line,) = odd_names(("dog", name))
    assert line.startswith(f"{name!r} is a class: {hint}?")


def test_good_names_are_not_told():
    good = ("dog", "nana", "'s-Gravenhage", '5" disk', "[new]", "dogs'", "a, b", "(c)", "banana")
    assert odd_names(good) == []


def test_a_check_shows_them(tmp_path):
    for k, name in enumerate(("nan", "dog")):
        (tmp_path / name).mkdir()
        Image.new("L", (9, 9), k).save(tmp_path / name / "a.png")
    report = check_data(load_images(str(tmp_path)), near=False)
    assert report.odd_names == ["'nan' is a class: an empty cell? leave the label empty"]
    assert "1 class names look like an accident" in report.warnings()
    assert unicodedata.is_normalized("NFC", report.odd_names[0])
