"""Labels and duplicates beside each other: two pages of one service, and of two processes."""

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import urllib.request

import pytest
import uvicorn
from starlette.testclient import TestClient

from ssah_tf.cli.label_duplicates import duplicates_beside, roots_of
from ssah_tf.cli.serve import listen
from ssah_tf.data.label_round import Outcome
from ssah_tf.data.label_table import LabelTable
from ssah_tf.serve.app import make_label_app
from ssah_tf.serve.label_journal import Journal
from ssah_tf.serve.labelling import Labelling
from ssah_tf.serve.later import Later, NotYet
from ssah_tf.serve.settings import Settings
from ssah_tf.system.errors import SsahError


class Both:
    """The photos of an index with duplicates, to label and to review; all in one group.

    Attributes:
        number: Path of a photo -> its number on the page of labels.
    """

    def __init__(self, duplicated, learner):
        self.root, self.table = duplicated.root, LabelTable(duplicated.root / "labels.csv")
        paths = [name for name in duplicated.names() if name.endswith(".jpg")]
        digests = [
            hashlib.sha256((duplicated.photos / path).read_bytes()).hexdigest() for path in paths
        ]
        self.number = {path: number for number, path in enumerate(paths)}
        self.labelling = Labelling(
            duplicated.photos, paths, digests, self.table, Journal(self.root / "work")
        )
        self.labelling.learner = learner
        self.labelling.take(Outcome([[*range(len(paths))]]))

    def app(self, place, set_aside):
        """The service; to be entered."""
        roots = roots_of(place, self.labelling.photos.root, set_aside)
        return duplicates_beside(
            place, roots, set_aside, self.root / "work", self.table, self.labelling
        )

    def rows(self):
        return sorted((self.root / "labels.csv").read_text().splitlines()[1:])


@pytest.fixture
def both(duplicated, idle):
    """See `Both`."""
    return Both(duplicated, idle)


@pytest.fixture
def http(both, duplicated):
    """A client of both pages, when the photos are compared."""
    with both.app(duplicated.place, duplicated.aside) as review:
        app = make_label_app(both.labelling, Settings(), review)
        with TestClient(app, base_url="http://127.0.0.1") as client:
            first = client.get("/duplicates")
            assert (first.status_code, first.headers.get("retry-after")) == (503, "1")
            assert first.json()["error"].startswith("photos are being compared")
            review.thread.join()
            yield client


def post(client, path, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(state):
    return [photo["path"] for group in state["groups"] for photo in group]


def test_two_pages_of_one_service(http, both, duplicated):
    """One table; what is set aside is not shown for labels, and is back when that is undone."""
    number = both.number
    state = post(
        http, "/labelling/said", photos=[number["june/b copy.jpg"]], action="label", label="owl"
    )
    assert state["duplicates"]
    assert "june/b copy.jpg" in shown(state)
    group = http.get("/duplicates").json()["group"]
    assert [photo["labels"] for photo in group["photos"]] == [["owl"], []]
    with (duplicated.root / "labels.csv").open("a") as stream:
        stream.write("june/b.jpg,mine\n")  # by hand
    revision = http.get("/labelling/progress").json()["revision"]
    post(http, "/duplicates/set-aside", group=0, keep=[1])
    assert http.get("/labelling/progress").json()["revision"] > revision
    assert both.rows() == ["june/b copy.jpg,owl", "june/b.jpg,mine;owl"]
    state = http.get("/labelling").json()
    assert "june/b copy.jpg" not in shown(state)
    assert {"june/b.jpg", "may/a.jpg"} <= {*shown(state)}
    assert state["labelled"] == 2
    picture = http.get(f"/labelling/photos/{number['june/b copy.jpg']}/image")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    post(http, "/labelling/learn", train=False)
    task = both.labelling.learner.asked[-1]
    assert task.aside == (number["june/b copy.jpg"],)
    assert task.labels[number["june/b.jpg"]] == ("mine", "owl")
    # The step of labelling is undone where it still holds, that of the review as well.
    assert post(http, "/labelling/undo")["steps"] == 0
    assert both.rows() == ["june/b copy.jpg,", "june/b.jpg,mine;owl"]
    post(http, "/duplicates/undo")
    assert both.rows() == ["june/b copy.jpg,", "june/b.jpg,mine"]
    assert "june/b copy.jpg" in shown(http.get("/labelling").json())


def test_pages_of_threads(http, both, duplicated):
    """Labels and groups at once, from several threads: nothing that was said is lost."""
    number, wrong = both.number, []
    may = [number["may/a copy.jpg"], number["may/a.jpg"], number["may/small.jpg"]]

    def label(name):
        try:
            for turn in range(6):
                given = {"photos": may, "action": "add", "label": f"{name}{turn}"}
                assert http.post("/labelling/said", json=given).status_code == 200
        except BaseException as error:
            wrong.append(error)

    def review():
        try:
            for _ in range(3):
                body = {"group": 0, "keep": [0]}
                assert http.post("/duplicates/set-aside", json=body).status_code == 200
                assert http.post("/duplicates/undo", json={}).status_code == 200
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=label, args=[name]) for name in "xy"]
    threads.append(threading.Thread(target=review))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    said = {f"{name}{turn}" for name in "xy" for turn in range(6)}
    labels = LabelTable(duplicated.root / "labels.csv").labels
    for path in ("may/a copy.jpg", "may/a.jpg", "may/small.jpg"):
        assert set(labels[path]) == said, path


@pytest.mark.slow
def test_pages_of_two_processes(both, duplicated):
    """`ssah duplicates --review` with the same table: it hands on what was labelled meanwhile."""
    words = ["index", "--review", "--set-aside", "aside", "--port", "0", "--radius", "1"]
    command = [sys.executable, "-m", "ssah_tf.cli", "duplicates", *words, "--labels", "labels.csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=duplicated.root)
    process.stdout.readline()
    url = process.stdout.readline().split("review page: ")[1].split("/ ")[0]

    def decide(path, **body):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(
            f"{url}/duplicates/{path}", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    stop, wrong = threading.Event(), []

    def label():
        try:
            for turn in range(1000):
                both.labelling.change([both.number["june/alone.jpg"]], "add", f"x{turn}")
                if stop.is_set():
                    return
        except BaseException as error:
            wrong.append(error)

    try:
        both.labelling.change([both.number["june/b copy.jpg"]], "label", "owl")
        thread = threading.Thread(target=label)
        thread.start()
        for _ in range(4):
            decide("set-aside", group=0, keep=[1])
            assert LabelTable(duplicated.root / "labels.csv").labels["june/b.jpg"] == ("owl",)
            decide("undo")
        decide("set-aside", group=0, keep=[1])
    finally:
        stop.set()
        thread.join()
        process.terminate()
        process.communicate(timeout=60)
    assert wrong == []
    both.labelling.progress()
    alone = both.labelling.verdict(both.number["june/alone.jpg"]).labels
    assert alone == tuple(f"x{turn}" for turn in range(len(alone)))
    assert both.labelling.verdict(both.number["june/b.jpg"]).labels == ("owl",)


def test_what_is_refused(duplicated, tmp_path):
    """Before anything is served."""
    other = tmp_path / "other"
    other.mkdir()
    for index, photos, set_aside, line in (
        (duplicated.place, other, None, "none of its photos lies in"),
        (duplicated.place, duplicated.photos, duplicated.photos / "x", "photos there would be"),
        (str(other), duplicated.photos, None, "not an index of photos"),
    ):
        with pytest.raises(SsahError, match=line):
            roots_of(index, photos, set_aside)
    assert roots_of(duplicated.place, duplicated.photos / "may", other) == (str(duplicated.photos),)


def test_what_is_computed_later():
    """It says how far it is; an error is told once, then it is tried again; it can be given up."""
    go, begun, results = threading.Event(), threading.Event(), []

    def compute(tell):
        tell(1, 2000)
        begun.set()
        go.wait(60)
        tell(2, 2000)
        if not results:
            results.append(1)
            raise SsahError("the disk is away")
        return "found"

    later = Later(compute, "it is counted")
    with pytest.raises(NotYet, match=r"^it is counted"):
        later()
    begun.wait(60)
    with pytest.raises(NotYet, match=r"^it is counted: 1 of 2,000$"):
        later()
    go.set()
    later.thread.join()
    with pytest.raises(SsahError, match="the disk is away"):
        later()
    with pytest.raises(NotYet):
        later()
    later.thread.join()
    assert later() == "found"
    go.clear()
    begun.clear()
    later = Later(compute, "it is counted")
    with pytest.raises(NotYet):
        later()
    begun.wait(60)
    threading.Timer(0.1, go.set).start()
    later.close()
    assert later.found == []


@pytest.fixture
def served(both, duplicated):
    """A real service of both pages; its address."""
    with contextlib.ExitStack() as stack:
        review = stack.enter_context(both.app(duplicated.place, duplicated.aside))
        app = make_label_app(both.labelling, Settings(rate=0), review)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        listener = stack.enter_context(listen("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_in_a_browser(served, visit, driver, violations):
    """From page to page; one label, one group, undone; nothing keeps people out, nor on a phone."""
    from selenium.webdriver.common.keys import Keys

    person = visit(served)
    person.wait(lambda: len(driver.find_elements("css selector", ".tile")) == 6)
    person.press("owl", "\n")
    person.wait(lambda: person.js("return state.labelled") == 6)
    links = "return [...document.querySelectorAll('a.page')].map((a) => a.innerText)"
    assert person.js(links) == ["Labels", "Duplicates"]
    assert violations() == []
    driver.find_element("link text", "Duplicates").click()
    person.wait(lambda: person.text("#headline") == "Group 1 of 2")
    assert person.js(links) == ["Labels", "Duplicates"]
    assert person.text(".tile .labels") == "owl"
    assert person.js("return document.querySelector('[aria-current]').innerText") == "Duplicates"
    assert violations() == []
    person.press("s")
    person.wait(lambda: person.text("#headline") == "Group 2 of 2")
    driver.find_element("link text", "Labels").click()
    person.wait(lambda: len(driver.find_elements("css selector", ".tile")) == 5)
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True},
    )
    for page in ("Labels", "Duplicates"):
        driver.find_element("link text", page).click()
        person.wait(lambda: driver.find_elements("css selector", ".tile"))
        assert violations() == []
        assert person.js("return document.documentElement.scrollWidth") <= 360
    person.press(Keys.BACKSPACE)
    person.wait(lambda: person.text("#headline") == "Group 1 of 2")
    assert [line for line in person.console() if " 503 " not in line] == []  # not compared yet


@pytest.mark.slow
def test_nothing_keeps_people_out(served, both, visit, driver, violations, monkeypatch):
    """axe-core finds nothing, light or dark, wide or on a phone: compared, decided, refused."""
    from selenium.webdriver.common.keys import Keys

    def check(state):
        for width in (1280, 360):
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 720, "deviceScaleFactor": 1, "mobile": width == 360},
            )
            assert violations() == [], (state, width)
            assert person.js("return document.documentElement.scrollWidth") <= width, state

    go, work = threading.Event(), Later.work
    monkeypatch.setattr(
        Later, "work", lambda self: (self.tell(1234, 50_000), go.wait(60), work(self))
    )
    person = visit(f"{served}/review")
    person.wait(lambda: person.text("#status") == "Photos are being compared: 1,234 of 50,000.")
    check("comparing")
    go.set()
    person.wait(lambda: person.text("#headline") == "Group 1 of 2")
    (both.root / "labels.csv").write_text("no table")
    person.press("s")
    person.wait(lambda: "expected the columns path and label" in person.text("#message"))
    check("refused")
    (both.root / "labels.csv").unlink()
    person.press("s")
    person.wait(lambda: person.text("#headline") == "Group 2 of 2")
    person.press("k")
    person.wait(lambda: "All groups are done" in person.text("#status"))
    check("done")
    person.press(Keys.ARROW_UP)
    person.wait(lambda: "Set aside, but for what is kept" in person.text("#status"))
    check("aside")
