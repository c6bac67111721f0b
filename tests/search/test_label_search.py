"""Photos without a label that are like those with one."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.search.filters import UnknownLabel
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.errors import SsahError

#: Photo -> its code, which is its grey, and its labels.
PHOTOS = {
    "00": (0b11110000, ["beach"]),
    "01": (0b11100000, ["beach", "sea|side"]),
    "02": (0b11110011, ["beach"]),
    "03": (0b00001111, ["sea|side"]),
    "04": (0b00000000, []),
    "05": (0b11110001, []),
    "06": (0b11111111, []),
    "07": (0b11110000, []),
}


@pytest.fixture
def index(encoder, tmp_path):
    """Of the photos above."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, (grey, _) in PHOTOS.items():
        Image.new("L", (5, 5), grey).save(folder / f"{name}.png")
    given = {str(folder / f"{name}.png"): tuple(names) for name, (_, names) in PHOTOS.items()}
    opened = PhotoIndex.open(tmp_path / "index", encoder)
    opened.sync(encoder, [folder], labels=lambda _: given)
    return opened


def found(index, word, where=(), k=20):
    """Label -> (photo, distance) of what its search finds."""
    labels = index.labels_like(word)
    rows = index.neighbours(index.label_codes(labels), k, where=index.unlabelled(where))
    return {
        label: [(hit.photo.path[-6:-4], hit.distance) for hit in row]
        for label, row in zip(labels, rows, strict=True)
    }


def test_the_majority_ranks_what_nobody_labelled(index):
    """Of beach it is 11110000, bits 6 and 7 being in one of three; of sea|side 11101111, all ties
    being ones."""
    assert index.label_codes(["beach", "sea|side"]).tolist() == [[0b11110000], [0b11101111]]
    assert found(index, "BEA") == {"beach": [("07", 0), ("05", 1), ("04", 4), ("06", 4)]}
    assert found(index, "side", k=2) == {"sea|side": [("06", 1), ("05", 4)]}
    both = found(index, "beach", ["path=*/0[56].png"])
    assert both == {"beach": [("05", 1), ("06", 4)]}
    # A filter that names labels says itself which photos are searched.
    labelled = {"beach": [("00", 0), ("01", 1), ("02", 2)]}
    assert found(index, "beach", ["label=beach"]) == labelled


def test_refusals(index, encoder, tmp_path):
    with pytest.raises(
        UnknownLabel, match=r"no label of the index matches 'baech'; near are beach"
    ):
        index.labels_like("baech")
    (tmp_path / "photos" / "03.png").unlink()
    index.sync(encoder, [tmp_path / "photos"])
    with pytest.raises(UnknownLabel, match=r"\(1 photos of the index are missing and left out\)"):
        index.labels_like("volcano")
    index.sync(encoder, [tmp_path / "photos"], labels=lambda paths: dict.fromkeys(paths, ("x",)))
    with pytest.raises(SsahError, match="every photo of the index has a label"):
        index.unlabelled(["path=*"])
    index.sync(encoder, [tmp_path / "photos"], labels=lambda paths: {}, replace_labels=True)
    with pytest.raises(SsahError, match="no photo of the index has a label"):
        index.labels_like("x")


@pytest.mark.slow
def test_command_line(exported, tmp_path):
    """Every matching label ranks, by the full code: photos of one distance come by appearance."""
    folder, data = tmp_path / "photos", load_fashion()
    folder.mkdir()
    for number, pixels in enumerate(data.pixels[:60]):
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    labels = tmp_path / "labels.csv"
    known = {"bag": range(0, 9), "bags, small": range(9, 13)}
    rows = [f'{n:02d}.png,"{label}"\n' for label, numbers in known.items() for n in numbers]
    labels.write_text("path,label\n" + "".join(rows))

    def ssah(*words, code=0):
        words = [sys.executable, "-m", "ssah_tf.cli", *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    place = tmp_path / "index"
    ssah("index", exported[1], folder, "--output", place, "--labels", labels)
    page = tmp_path / "page.html"
    done = ssah("search", place, "--label-like", "bag", "-k", 5, "--json", "--html", page)
    assert "labels like 'bag': bag; bags, small" in done.stderr
    full = Encoder.load(exported[1]).full_codes(sorted(folder.iterdir()))
    bits = np.unpackbits(full, axis=1)
    for entry, (label, numbers) in zip(json.loads(done.stdout), known.items(), strict=True):
        assert entry["query"] == label
        apart = bits[13:] != (bits[list(numbers)].mean(axis=0) >= 0.5)
        far, near = apart[:, :16].sum(axis=1), apart[:, 16:].sum(axis=1)  # codes of 12 bits
        expected = sorted(zip(far.tolist(), near.tolist(), range(13, 60), strict=True))[:5]
        assert [(hit["distance"], hit["path"][-6:-4]) for hit in entry["neighbours"]] == [
            (distance, f"{number:02d}") for distance, _, number in expected
        ]
    text = page.read_text()
    assert text.count("data:image/jpeg") == 10
    assert "<h2>bags, small</h2>" in text
    table = ssah("search", place, "--label-like", "bags", "--filter", "label=bag").stdout
    assert table.startswith("bags, small: 9 of 60 photos\n")
    for words, message in (
        ((), "give image files or folders to search with, or --label-like WORD"),
        ((folder, "--label-like", "bag"), "give image files or folders to search with, or"),
        (("--label-like", "bug"), "no label of the index matches 'bug'; near are bag"),
        (("--label-like", ""), "no word to find labels by"),
    ):
        error = ssah("search", place, *words, code=1).stderr
        assert message in error
        assert len(error.splitlines()) == 1
