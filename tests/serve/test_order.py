"""Photos of one distance in the order of appearance, from the service and from `ssah search`."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.cli import app as cli
from ssah_tf.data import load_fashion
from ssah_tf.search.photo_index import PhotoIndex


@pytest.fixture(scope="module")
def index(exported, tmp_path_factory):
    """Photos of an untrained encoder of 12 bits, of which many share a code."""
    root = tmp_path_factory.mktemp("order")
    (root / "photos").mkdir()
    for number, pixels in enumerate(load_fashion().pixels[:120]):
        Image.fromarray(pixels).save(root / "photos" / f"{number:03d}.png")
    encoder = Encoder.load(exported[1])
    opened = PhotoIndex.open(root / "index", encoder)
    opened.sync(encoder, [root / "photos"])
    query = root / "photos" / "007.png"
    code = encoder.full_codes(query)
    found = {
        order: [hit.photo.path for hit in opened.neighbours(code, 60, order=order)[0]]
        for order in ("appearance", "id")
    }
    assert found["appearance"] != found["id"]
    return SimpleNamespace(folder=root / "index", query=query, code=code, found=found)


def paths(answer):
    assert answer.status_code == 200, answer.text
    return [hit["path"] for hit in answer.json()["neighbours"]]


def test_the_service(index, client):
    """By an image, by a photo, and by a code with its appearance code or without."""
    http = client(index)
    expected = {o: [path.rpartition("/")[2] for path in found] for o, found in index.found.items()}
    width = 2
    code, look = (part.tobytes().hex() for part in np.split(index.code, [width], axis=1))
    assert http.get("/about").json()["appearance_bits"] == 8 * len(index.code[0, width:]) > 0
    answer = http.post("/search?k=60", content=index.query.read_bytes())
    assert paths(answer) == expected["appearance"]
    assert answer.json()["query"] == {
        "code": code,
        "appearance": look,
        "photo": None,
        "labels": [],
        "damaged": "",
        "preview": "",
    }
    number = answer.json()["neighbours"][0]["id"]
    for way in (f"id={number}", f"code={code}{look}"):
        assert paths(http.post(f"/search?k=60&{way}")) == expected["appearance"]
        assert paths(http.post(f"/search?k=60&order=id&{way}")) == expected["id"]
    assert paths(http.post(f"/search?k=60&code={code}")) == expected["id"]
    assert http.post("/search?code=00&order=size").status_code == 422
    assert http.post("/search?code=" + code + look[2:]).status_code == 422
    encoded = http.post("/encode", content=index.query.read_bytes()).json()
    assert (encoded["code"], encoded["appearance"]) == (code, look)


def test_the_command_line(index, monkeypatch, capsys, tmp_path):
    def search(*words):
        given = ["ssah", "search", index.folder, index.query, "-k", 60, "--json", *words]
        monkeypatch.setattr(sys, "argv", list(map(str, given)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return [hit["path"] for hit in json.loads(out)[0]["neighbours"]]

    page = tmp_path / "found.html"
    assert search("--html", page) == search("--order", "appearance") == index.found["appearance"]
    assert "those that look most alike come first" in page.read_text()
    assert search("--order", "id", "--html", page) == index.found["id"]
    assert "most alike" not in page.read_text()
