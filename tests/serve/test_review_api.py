"""The API of a review of duplicates: what it answers, moves and refuses."""

import asyncio
import threading
from datetime import datetime
from functools import partial

import pytest
from starlette.testclient import TestClient

from ssah_tf.serve.app import make_review_app
from ssah_tf.serve.pictures import Refused
from ssah_tf.serve.service import Service
from ssah_tf.serve.settings import Settings

TOKEN = "a-token-of-some-length"


def client_of(review, **settings):
    return TestClient(make_review_app(review, Settings(**settings)), base_url="http://127.0.0.1")


@pytest.fixture
def http(duplicated):
    """A client of a review that may set photos aside."""
    with client_of(duplicated.review()) as client:
        yield client


def post(client, path, **body):
    answer = client.post(f"/duplicates/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_group(http):
    """Group by group, with what is to be known of each photo; the largest is to stay."""
    state = http.get("/duplicates").json()
    assert (state["groups"], state["open"], state["steps"], state["set_aside"]) == (2, 2, 0, 0)
    assert (state["previous"], state["next"], state["next_open"]) == (None, 1, 1)
    group = state["group"]
    assert (group["number"], group["status"]) == (0, "")
    assert [(p["path"], p["kind"], p["keep"]) for p in group["photos"]] == [
        ("june/b copy.jpg", "first", True), ("june/b.jpg", "copy", False),
    ]  # fmt: skip
    first = group["photos"][0]
    day = datetime.fromtimestamp(10**6).isoformat()
    assert (first["width"], first["height"]) == (300, 225)
    assert (first["date"], first["dated_by"]) == (day, "file")
    assert first["labels"] == ["dog", "cat"]
    assert first["beside"] == ["b copy.mov", "b copy.xmp"]
    second = http.get("/duplicates?group=1").json()
    photos = second["group"]["photos"]
    assert [(p["path"], p["kind"]) for p in photos] == [
        ("may/a copy.jpg", "first"), ("may/a.jpg", "copy"), ("may/small.jpg", "near"),
    ]  # fmt: skip
    assert photos[2]["ssim"] > 0.9
    assert (second["previous"], second["next"], second["next_open"]) == (0, None, 0)
    picture = http.get(photos[2]["image"])
    assert photos[2]["image"].startswith("duplicates/photos/")  # below any path of a proxy
    again = http.get(photos[2]["image"], headers={"if-none-match": picture.headers["etag"]})
    assert again.status_code == 304
    assert picture.headers["content-type"] == "image/jpeg"
    assert http.get("/duplicates?group=7").json()["group"]["number"] == 0


def test_rules(http, duplicated):
    state = post(http, "rules", first="oldest", prefer="", group=1)
    assert [p["keep"] for p in state["group"]["photos"]] == [True, False, False]
    state = post(http, "rules", first="labels", prefer="", group=1)
    assert [p["keep"] for p in state["group"]["photos"]] == [False, False, True]
    assert state["folders"] == ["june", "may"]
    (duplicated.photos / "june" / "deep").mkdir()
    assert post(http, "rules", first="largest", prefer="june", group=0)["prefer"] == "june"
    for wrong in ({"first": "newest"}, {"first": "oldest", "prefer": "/etc"}):
        answer = http.post("/duplicates/rules", json=wrong)
        assert answer.status_code == 422
        assert len(answer.json()["error"].splitlines()) == 1


def test_set_aside_and_back(http, duplicated):
    """The other files, with what belongs to them; their labels go to what stays, and come back."""
    before, labels = duplicated.names(), duplicated.labelled()
    state = post(http, "set-aside", group=1, keep=[2])
    assert (state["open"], state["set_aside"], state["steps"]) == (1, 2, 1)
    assert state["group"]["status"] == "aside"
    assert [p["keep"] for p in state["group"]["photos"]] == [True, False, False]
    assert http.get(state["group"]["photos"][1]["image"]).status_code == 200  # from where it is now
    state = post(http, "set-aside", group=0, keep=[1])
    assert state["next_open"] is None
    gone = ["june/b copy.jpg", "june/b copy.mov", "june/b copy.xmp", "may/a.jpg", "may/small.jpg",
            "may/small.jpg.xmp"]  # fmt: skip
    assert duplicated.names(duplicated.aside) == gone
    assert duplicated.names() == [name for name in before if name not in gone]
    given = {"may/a copy.jpg": ("sea",), "june/b.jpg": ("dog", "cat")}
    assert duplicated.labelled() == labels | given
    duplicated.sync()  # what is set aside is missing, with its labels
    assert duplicated.labelled() == labels | given

    state = post(http, "undo")
    assert (state["group"]["number"], state["group"]["status"]) == (0, "")
    state = post(http, "undo")
    assert (state["group"]["number"], state["open"], state["steps"]) == (1, 2, 0)
    assert duplicated.names() == before
    assert duplicated.names(duplicated.aside) == []
    assert duplicated.labelled() == labels
    answer = http.post("/duplicates/undo", json={})
    assert (answer.status_code, answer.json()) == (422, {"error": "there is nothing to undo"})


def test_keep_all_is_remembered(http, duplicated):
    """By content: under other names, too; undone later, it comes back."""
    state = post(http, "keep-all", group=1)
    assert (state["open"], state["group"]["status"], state["group"]["number"]) == (1, "kept", 1)
    (duplicated.photos / "may" / "a.jpg").rename(duplicated.photos / "june" / "new.jpg")
    duplicated.sync()
    post(http, "set-aside", group=0, keep=[0])
    with client_of(duplicated.review()) as later:
        state = later.get("/duplicates").json()
        assert (state["groups"], state["remembered"], state["group"]) == (0, 1, None)
        assert (state["steps"], state["set_aside"]) == (2, 1)
        post(later, "undo")
        assert (duplicated.photos / "june" / "b.jpg").exists()
        state = post(later, "undo")
        assert (state["groups"], state["remembered"], state["steps"]) == (1, 0, 0)
        assert len(state["group"]["photos"]) == 3
    # A new photo of the group is a new question.
    with client_of(duplicated.review()) as later:
        groups = [later.get(f"/duplicates?group={n}").json()["group"] for n in (0, 1)]
        number = next(group["number"] for group in groups if len(group["photos"]) == 3)
        post(later, "keep-all", group=number)
    duplicated.scene(1, 300).save(duplicated.photos / "more.jpg", quality=70)
    duplicated.sync()
    with client_of(duplicated.review()) as later:
        assert later.get("/duplicates").json()["groups"] == 2


def test_refusals(http, duplicated):
    """Each is a line; nothing moves."""
    before = duplicated.names()

    def refused(status, line, path="set-aside", **body):
        answer = http.post(f"/duplicates/{path}", json=body)
        assert answer.status_code == status
        assert line in answer.json()["error"]
        assert len(answer.json()["error"].splitlines()) == 1
        assert duplicated.names() == before

    refused(422, "keep at least one real file", group=0, keep=[])
    refused(422, "all photos of this group are kept", group=0, keep=[0, 1])
    refused(422, "no such photo in this group", group=0, keep=[2])
    refused(422, "no such group", group=2, keep=[0])
    refused(422, "no such group", "keep-all", group=2)
    refused(422, "greater than or equal to 0", group=-1, keep=[0])
    refused(422, "valid integer", group="x", keep=[0])
    assert http.get("/duplicates/photos/5/image").status_code == 422
    kept = duplicated.photos / "june" / "b.jpg"
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + b"x")
    refused(422, "b.jpg is gone or has changed", group=0, keep=[1])
    refused(422, "b.jpg is gone or has changed", group=0, keep=[0])
    kept.write_bytes(content)
    post(http, "keep-all", group=0)
    refused(422, "done already: undo that first", group=0, keep=[0])
    refused(422, "done already", "keep-all", group=0)


def test_a_link_is_no_copy(duplicated):
    """It stays where it is, and keeps nothing."""
    real = duplicated.root / "elsewhere.jpg"
    real.write_bytes((duplicated.photos / "june" / "b.jpg").read_bytes())
    (duplicated.photos / "june" / "link.jpg").symlink_to(real)
    duplicated.sync()
    with client_of(duplicated.review()) as http:
        photos = http.get("/duplicates?group=0").json()["group"]["photos"]
        place = [p["path"] for p in photos].index("june/link.jpg")
        assert photos[place]["link"]
        assert not photos[place]["keep"]
        ids = [p["id"] for p in photos]
        answer = http.post("/duplicates/set-aside", json={"group": 0, "keep": [ids[place]]})
        assert "a link is no copy" in answer.json()["error"]
        post(http, "set-aside", group=0, keep=[ids[0]])
        assert (duplicated.photos / "june" / "link.jpg").is_symlink()
        assert duplicated.names(duplicated.aside) == ["june/b.jpg"]


def test_off_without_a_folder(duplicated):
    with client_of(duplicated.review(set_aside=False)) as http:
        assert http.get("/duplicates").json()["folder"] == ""
        answer = http.post("/duplicates/set-aside", json={"group": 0, "keep": [0]})
        assert answer.status_code == 422
        assert "start with --set-aside FOLDER" in answer.json()["error"]
        assert post(http, "keep-all", group=0)["open"] == 1
        assert post(http, "undo")["open"] == 2


def test_pages_of_others_change_nothing(http, duplicated):
    """Neither with their origin, nor by a form that browsers send without asking, nor by GET."""
    body = {"group": 0, "keep": [0], "first": "oldest"}
    before = duplicated.names()
    for path in ("set-aside", "keep-all", "undo", "rules"):
        for origin in ("http://evil.example", "null", "http://127.0.0.1:8000"):
            answer = http.post(f"/duplicates/{path}", json=body, headers={"origin": origin})
            assert (answer.status_code, "other sites" in answer.text) == (403, True)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = http.post(
                f"/duplicates/{path}", content='{"group": 0}', headers={"content-type": kind}
            )
            assert answer.status_code == 422
        assert http.get(f"/duplicates/{path}").status_code == 405
    assert http.get("/duplicates", headers={"host": "evil.example"}).status_code == 421
    assert duplicated.names() == before
    assert http.get("/duplicates").json()["steps"] == 0


def test_a_token(duplicated):
    with client_of(duplicated.review(), token=TOKEN) as http:
        for path in ("/duplicates", "/duplicates/photos/0/image"):
            assert http.get(path).status_code == 401
        assert http.post("/duplicates/undo", json={}).status_code == 401
        assert http.get("/", follow_redirects=False).headers["location"] == "/login"
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert http.get("/duplicates", headers=bearer).json()["token"] is True
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/healthz", headers=bearer).json() == {"status": "ok", "photos": 5}


def test_two_pages_at_once(duplicated):
    """The second decision about a group is refused; the same steps are undone by either."""
    review = duplicated.review()
    with client_of(review) as one, client_of(review) as two:
        post(one, "set-aside", group=0, keep=[0])
        answer = two.post("/duplicates/set-aside", json={"group": 0, "keep": [1]})
        assert "done already" in answer.json()["error"]
        assert post(two, "undo")["open"] == 2


def test_what_is_told_of_a_place_that_is_taken(http, duplicated):
    post(http, "set-aside", group=0, keep=[0])
    (duplicated.photos / "june" / "b.jpg").write_text("other")
    state = post(http, "undo")
    assert len(state["said"]) == 1
    assert "b.jpg is taken: what was there is" in state["said"][0]
    assert (duplicated.photos / "june" / "b.jpg").read_text() == "other"


def test_a_photo_that_is_moved_while_its_picture_waits():
    """It is drawn from where it is then; one that is gone stays refused."""
    service, places, asked = Service(Settings()), ["old", "new", "gone", "gone"], []

    async def draw(path, roots):
        asked.append(path)
        if path != "new":
            raise Refused("the file of this photo is gone")
        return path.encode()

    async def both():
        where = partial(places.pop, 0)
        assert await service.of_moving(draw, where, [], threading.Lock()) == b"new"
        with pytest.raises(Refused):
            await service.of_moving(draw, where, [], threading.Lock())

    asyncio.run(both())
    assert asked == ["old", "new", "gone"]
