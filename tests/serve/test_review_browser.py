"""The page of a review in a browser, as people use it."""

import asyncio
import threading

import pytest
import uvicorn

from ssah_tf.cli.serve import listen
from ssah_tf.serve.app import make_review_app
from ssah_tf.serve.settings import Settings


@pytest.fixture
def served(duplicated):
    """Starts a real service of a review; its address."""
    running = []

    def start(**options):
        app = make_review_app(duplicated.review(**options), Settings(rate=0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        listener = listen("127.0.0.1", 0)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        running.append((server, thread, listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread, listener in running:
        server.should_exit = True
        thread.join()
        listener.close()


def shown(person):
    """What the tiles say: the name of the photo, and what becomes of it."""
    return person.js(
        "return [...document.querySelectorAll('.tile')].map((tile) =>"
        " [tile.querySelector('.file').textContent, tile.querySelector('.verdict').textContent])"
    )


def sees(person, *expected):
    person.wait(lambda: shown(person) == [list(pair) for pair in expected], expected)


JUNE = ("june/b copy.jpg", "✓ keep"), ("june/b.jpg", "set aside")
MAY = ("may/a copy.jpg", "✓ keep"), ("may/a.jpg", "set aside"), ("may/small.jpg", "set aside")


@pytest.mark.slow
def test_by_keys(served, visit, duplicated):
    """Group by group; undone, also deeper; what was decided before does not come back."""
    from selenium.webdriver.common.keys import Keys

    before = duplicated.names()
    url = served()
    person = visit(url)
    sees(person, *JUNE)
    assert person.text("#headline") == "Group 1 of 2"
    assert person.text("#facts") == "2 groups, 2 to go"
    assert person.js("return document.activeElement.dataset.id") == "0"
    person.press("2")
    sees(person, (JUNE[0][0], "set aside"), (JUNE[1][0], "✓ keep"))
    person.press(Keys.ARROW_LEFT, Keys.SPACE)
    sees(person, JUNE[0], (JUNE[1][0], "✓ keep"))
    assert person.text("#status") == "All would be kept"
    assert not person.find("#aside").is_enabled()
    person.press(Keys.SPACE, "s")
    sees(person, *MAY)
    gone = ["june/b copy.jpg", "june/b copy.mov", "june/b copy.xmp"]
    assert duplicated.names(duplicated.aside) == gone
    assert person.text("#facts") == "2 groups, 1 to go"
    assert "1 photo set aside in" in person.text("#where")
    person.press("k")
    person.wait(lambda: "All groups are done" in person.text("#status"))
    sees(person, *((name, "kept") for name, _ in MAY))
    person.press(Keys.ARROW_UP)
    sees(person, (JUNE[0][0], "set aside"), (JUNE[1][0], "kept"))
    person.wait(  # a picture of what is set aside is shown from there
        lambda: person.js(
            "return [...document.querySelectorAll('.tile img')].every((i) => i.naturalWidth)"
        )
    )
    person.press(Keys.BACKSPACE)
    sees(person, *MAY)
    person.press(Keys.BACKSPACE)
    sees(person, *JUNE)
    assert duplicated.names() == before
    person.press(Keys.ARROW_DOWN)
    sees(person, *MAY)
    assert person.console() == []
    assert {"/".join(a.split("/")[:3]) for a in person.asked() if a[:4] == "http"} == {url}


@pytest.mark.slow
def test_by_mouse(served, visit, duplicated, driver):
    """Taps and buttons alone; other rules; one large; a line for what went wrong."""
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    person = visit(served())
    sees(person, *JUNE)
    person.find("#next-group").click()
    sees(person, *MAY)
    Select(person.find("#first")).select_by_value("labels")
    sees(person, *((name, "✓ keep" if "small" in name else "set aside") for name, _ in MAY))
    Select(person.find("#prefer")).select_by_value("june")
    person.wait(lambda: person.js("return state.prefer") == "june")
    person.find('[data-id="3"]').click()
    person.find("#aside").click()
    sees(person, *JUNE)
    assert duplicated.names(duplicated.aside) == ["may/a copy.jpg"]
    assert duplicated.labelled()["may/small.jpg"] == ("sea",)
    (duplicated.photos / "june" / "b.jpg").write_text("other")
    person.find("#aside").click()
    person.wait(lambda: "b.jpg is gone or has changed" in person.text("#message"))
    sees(person, *JUNE)
    person.find("#undo").click()
    person.wait(lambda: person.text("#headline") == "Group 2 of 2")
    assert not person.find("#message").is_displayed()
    person.press(Keys.ENTER)
    person.wait(lambda: person.js("return document.getElementById('view').open"))
    first = person.text("#view-name")
    person.find("#view-previous").click()
    person.wait(lambda: person.text("#view-name") != first)
    person.press(Keys.ARROW_RIGHT)
    person.wait(lambda: person.text("#view-name") == first)
    assert not person.find("#view-next").is_enabled()
    person.press(Keys.ESCAPE)
    assert person.text("#headline") == "Group 2 of 2"
    person.find("#keep-all").click()
    sees(person, *JUNE)
    driver.refresh()
    person.wait(lambda: person.text("#facts") == "2 groups, 1 to go")


@pytest.mark.slow
def test_off_and_nothing_left(served, visit, duplicated):
    """Without a folder photos can be kept alone; decided, the next start shows nothing."""
    person = visit(served(set_aside=False))
    sees(person, *JUNE)
    assert person.text("#where") == "To set photos aside, start with --set-aside FOLDER."
    assert not person.find("#aside").is_enabled()
    person.press("k", "s")
    sees(person, *MAY)
    person.press("k")
    person.wait(lambda: "All groups are done" in person.text("#status"))
    person = visit(served())
    person.wait(lambda: "Nothing is left" in person.text("#status"))
    assert person.text("#headline") == "No duplicates"


@pytest.mark.slow
def test_nothing_keeps_people_out(served, visit, driver, duplicated, violations):
    """axe-core finds nothing, in each state, in the light and in the dark, and on a phone."""
    from selenium.webdriver.common.keys import Keys

    person = visit(served())

    sees(person, *JUNE)
    person.js("document.getElementById('undo').insertAdjacentHTML('afterend', '<button></button>')")
    assert [rule for rule, *_ in violations()] == ["button-name"] * 2  # it would see one
    driver.refresh()
    sees(person, *JUNE)
    assert violations() == []
    person.press("s")
    sees(person, *MAY)
    assert violations() == []
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True},
    )
    assert violations() == []
    assert person.js("return document.documentElement.scrollWidth") <= 360
    person.press(Keys.ENTER)
    person.wait(lambda: person.js("return document.getElementById('view').open"))
    assert violations() == []
    person.press(Keys.ESCAPE)
    (duplicated.photos / "may" / "a.jpg").unlink()
    person.press("s")
    person.wait(lambda: "a.jpg is gone or has changed" in person.text("#message"))
    assert violations() == []
    person.press("k")
    person.wait(lambda: "All groups are done" in person.text("#status"))
    assert violations() == []
