"""The API of labelling: what it answers, and what it refuses."""

import contextlib

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ssah_tf.data.label_round import Layout, Outcome
from ssah_tf.data.label_table import LabelTable
from ssah_tf.serve.app import make_label_app
from ssah_tf.serve.label_journal import Journal
from ssah_tf.serve.labelling import Labelling
from ssah_tf.serve.settings import Settings

TOKEN = "a-token-of-some-length"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def http(tmp_path, idle):
    """A client of a service of six photos, two of them suggested: `http(**settings)`."""
    (tmp_path / "photos").mkdir()
    paths = [f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGB", (200, 150), (40 * number, 0, 0)).save(tmp_path / "photos" / path)
    digests = [f"{number:064x}" for number in range(6)]
    table = LabelTable(tmp_path / "labels.csv")
    clients = contextlib.ExitStack()

    def start(**settings):
        labelling = Labelling(
            tmp_path / "photos", paths, digests, table, Journal(tmp_path / "work")
        )
        labelling.learner = idle
        labelling.take(Outcome([[4, 1]]))
        app = make_label_app(labelling, Settings(**settings))
        client = clients.enter_context(TestClient(app, base_url="http://127.0.0.1"))
        client.labelling = labelling
        return client

    with clients:
        yield start


def said(photos, action, label=""):
    return {"json": {"photos": photos, "action": action, "label": label}}


def mistake(answer, status):
    """The one line that an answer says."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def test_a_round(http, tmp_path):
    client = http()
    state = client.get("/labelling").json()
    assert (state["photos"], state["labelled"], state["steps"]) == (6, 0, 0)
    assert [photo["path"] for photo in state["groups"][0]] == ["4.png", "1.png"]
    state = client.post("/labelling/said", **said([4, 1], "label", "cat")).json()
    assert state["classes"] == [{"name": "cat", "photos": 2}]
    assert (tmp_path / "labels.csv").read_text() == "path,label\n4.png,cat\n1.png,cat\n"
    state = client.post("/labelling/said", **said([1], "unsure")).json()
    assert [(p["labels"], p["mark"]) for p in state["groups"][0]] == [(["cat"], ""), ([], "unsure")]
    assert client.post("/labelling/undo").json()["groups"][0][1]["labels"] == ["cat"]
    assert client.post("/labelling/learn", json={"train": False}).status_code == 200
    assert client.labelling.learner.asked[-1].labels == {1: ("cat",), 4: ("cat",)}
    progress = client.get("/labelling/progress").json()
    assert progress["progress"] == {"what": "", "done": 0, "total": 0}
    assert progress["revision"] == client.get("/labelling").json()["revision"]


def test_what_is_believed(http, tmp_path):
    client = http()
    client.labelling.take(Outcome([[4, 1]], believed={"cat": [(5, 0.9), (0, 0.6)]}))
    assert client.get("/labelling").json()["believed"] == [{"name": "cat", "photos": 2}]
    state = client.post("/labelling/correct", json={"label": "cat", "doubtful": True}).json()
    assert state["correcting"] == "cat"
    shown = [(p["path"], p["probability"]) for group in state["groups"] for p in group]
    assert shown == [("0.png", 0.6), ("5.png", 0.9)]
    state = client.post("/labelling/said", **said([0], "reject", "cat")).json()
    assert state["groups"][0][0]["rejected"] == ["cat"]
    assert not (tmp_path / "labels.csv").exists()
    state = client.post("/labelling/said", **said([5], "label", "cat")).json()
    assert (state["believed"], state["steps"]) == ([], 2)
    line = mistake(client.post("/labelling/correct", json={"label": "cat"}), 422)
    assert line == "no photo is left that is believed to be cat: learn again"
    state = client.post("/labelling/correct", json={"label": ""}).json()
    assert [photo["path"] for photo in state["groups"][0]] == ["4.png", "1.png"]
    assert "label: " in mistake(client.post("/labelling/correct", json={}), 422)


def test_pictures(http, tmp_path):
    client = http()
    photo = client.get("/labelling").json()["groups"][0][0]
    api = client.get("/openapi.json").json()
    for kind in ("thumbnail", "image"):
        assert photo[kind].startswith(f"labelling/photos/4/{kind}?")  # below any path of a proxy
        said = api["paths"][f"/labelling/photos/{{id}}/{kind}"]["get"]["responses"]["200"]
        assert "image/jpeg" in said["content"]
        answer = client.get(photo[kind])
        again = client.get(photo[kind], headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        assert answer.headers["content-type"] == "image/jpeg"
    (tmp_path / "photos" / "4.png").unlink()
    assert "is gone" in mistake(client.get(photo["image"]), 410)
    (tmp_path / "secret.png").write_bytes((tmp_path / "photos" / "1.png").read_bytes())
    (tmp_path / "photos" / "4.png").symlink_to(tmp_path / "secret.png")
    assert "is gone" in mistake(client.get(photo["image"]), 410)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (said([6], "skip"), "no such photo"),
        (said([-1], "skip"), "no such photo"),
        (said([], "skip"), "photos: "),
        (said([0], "delete"), "action: "),
        (said([0], "reject"), "a label has 1 to 200 characters"),
        (said([0], "label"), "a label has 1 to 200 characters"),
        (said([0], "add", "a;b"), "a label has 1 to 200 characters"),
        (said([0], "label", "x\ny"), "a label has 1 to 200 characters"),
        (said([0], "label", "x" * 2000), "label: "),
        (said(["../x"], "skip"), ": Input should be a valid integer"),
        ({"content": b"no json"}, "body: "),
    ],
)
def test_bad_input_changes_nothing(http, tmp_path, body, line):
    client = http()
    assert line in mistake(client.post("/labelling/said", **body), 422)
    assert not (tmp_path / "labels.csv").exists()
    assert client.get("/labelling").json()["steps"] == 0


def test_what_cannot_be_done(http, tmp_path):
    client = http()
    assert "nothing to undo" in mistake(client.post("/labelling/undo"), 422)
    learn = client.post("/labelling/learn", json={"train": True})
    assert "two classes" in mistake(learn, 422)
    assert "no such photo" in mistake(client.get("/labelling/photos/6/image"), 422)
    (tmp_path / "labels.csv").write_text("name\n")
    line = mistake(client.post("/labelling/said", **said([0], "label", "x")), 422)
    assert "labels.csv, line 1: expected the columns path and label" in line
    large = client.post("/labelling/said", content=bytes(17 * 2**20))
    assert "too large" in mistake(large, 413)


#: Six photos in two clusters.
LAYOUT = Layout(
    "a key",
    np.array([[0, 0], [1, 0.5], [0.5, 1], [0, 0.1], [0.2, 0], [1, 0.6]], np.float32),
    np.array([0, 1, 0, 0, 0, 1]),
    np.array([3, 5]),
)


def test_the_map(http, tmp_path):
    client = http()
    state = client.get("/labelling").json()
    assert (state["map"], state["no_map"]) == ("", "")
    assert mistake(client.get("/labelling/map"), 422) == "there is no map yet"
    assert client.post("/labelling/map").status_code == 200
    assert client.labelling.learner.asked[-1].lay_out
    client.labelling.take(Outcome(None, layout=LAYOUT))
    state = client.get("/labelling").json()
    assert state["map"] == "a key"
    assert [p["path"] for p in state["groups"][0]] == ["4.png", "1.png"]  # they stay
    found = client.get("/labelling/map").json()
    assert found["x"] == [0, 65535, 32768, 0, 13107, 65535]
    assert found["y"][:3] == [0, 32768, 65535]
    assert found["cluster"] == [0, 1, 0, 0, 0, 1]
    assert [(c["photos"], c["example"]["path"]) for c in found["clusters"]] == [
        (4, "3.png"),
        (2, "5.png"),
    ]
    asked = len(client.labelling.learner.asked)
    client.post("/labelling/map")  # it is there
    assert len(client.labelling.learner.asked) == asked


def test_a_region_is_one_step(http, tmp_path):
    client = http()
    client.labelling.take(Outcome(None, layout=LAYOUT))
    client.post("/labelling/said", **said([0, 2, 3], "label", "cat"))
    client.post("/labelling/said", **said([1], "label", "dog"))
    client.post("/labelling/said", **said([5], "skip"))
    state = client.post("/labelling/said", **said([1], "add", "cat")).json()
    found = client.get("/labelling/map/labels").json()
    assert found == {
        "revision": state["revision"],
        "classes": ["cat", "dog"],
        "first": [[0, 0], [1, 1], [2, 0], [3, 0]],
        "marked": [5],
    }
    described = client.post("/labelling/described", json={"photos": [5, 1]}).json()
    assert [(p["path"], p["labels"], p["mark"]) for p in described] == [
        ("5.png", [], "skipped"),
        ("1.png", ["dog", "cat"], ""),
    ]
    for _ in range(4):
        client.post("/labelling/undo")
    assert client.get("/labelling/map/labels").json()["first"] == []
    assert "no such photo" in mistake(
        client.post("/labelling/described", json={"photos": [6]}), 422
    )
    many = client.post("/labelling/described", json={"photos": [0] * 501})
    assert "photos: " in mistake(many, 422)
    (tmp_path / "labels.csv").write_text("name\n")
    assert "labels.csv, line 1" in mistake(client.get("/labelling/map/labels"), 422)


def test_without_the_extra(http):
    """It says what to install; all else works; a map that is kept is shown."""
    client = http()
    client.labelling.no_map = "the map needs sklearn: pip install 'ssah-tf[label]'"
    assert "ssah-tf[label]" in client.get("/labelling").json()["no_map"]
    assert "pip install 'ssah-tf[label]'" in mistake(client.post("/labelling/map"), 422)
    assert client.labelling.learner.asked == []
    assert client.post("/labelling/said", **said([0], "skip")).status_code == 200
    client.labelling.take(Outcome([[0]], layout=LAYOUT))
    assert client.post("/labelling/map").json()["map"] == "a key"


def test_each_training_is_there(http):
    """Also those of before there was a forecast."""
    client = http()
    measured = {
        "labelled": 30, "classes": 2, "queries": 9, "map": 0.5, "low": 0.4, "high": 0.6,
        "weak": [], "changed": None, "seconds": 1.0,
    }  # fmt: skip
    ahead = [{"labels": 30, "gain": 0.1, "low": 0.0, "high": 0.2}]
    for more in ({}, {"forecast": []}, {"forecast": ahead}):
        client.labelling.take(Outcome([[4]], {**measured, **more}))
    found = client.get("/labelling").json()["measured"]
    assert [each["forecast"] for each in found] == [[], [], ahead]


CHANGES = ("said", "undo", "moved", "learn", "correct", "described")


def test_the_gate(http, tmp_path):
    """Other sites, other names, and who does not know the token: nothing is read or written."""
    client = http(token=TOKEN)
    body = said([0], "label", "cat")
    for path in CHANGES:
        assert "token" in mistake(client.post(f"/labelling/{path}", **body), 401)
        other = {**BEARER, "origin": "http://elsewhere.example"}
        assert "other sites" in mistake(
            client.post(f"/labelling/{path}", **body, headers=other), 403
        )
        name = {**BEARER, "host": "elsewhere.example"}
        mistake(client.post(f"/labelling/{path}", **body, headers=name), 421)
        assert client.get(f"/labelling/{path}", headers=BEARER).status_code == 405
    closed = ("", "/progress", "/map", "/map/labels", "/photos/0/image")
    for path in (*(f"/labelling{each}" for each in closed), "/metrics"):
        assert "token" in mistake(client.get(path), 401)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/", follow_redirects=False).headers["location"] == "/login"
    assert not (tmp_path / "labels.csv").exists()
    own = {**BEARER, "origin": "http://127.0.0.1"}
    assert client.post("/labelling/said", **body, headers=own).status_code == 200
    assert client.post("/login", data={"token": TOKEN}, follow_redirects=False).status_code == 303
    assert "Label photos" in client.get("/").text


def test_there_is_no_search(http):
    """Nothing of the other service is there."""
    client = http()
    assert client.post("/search").status_code == 404
    assert client.get("/about").status_code == 404
