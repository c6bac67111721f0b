"""The search page as people know such pages: a timeline, folders, picking; and what went wrong."""

import csv
import io
import os
import time

import pytest
from PIL import ExifTags, Image

#: Photos of the timeline, two a day from 2024-01-01 on; more than come at once.
MANY = 130


@pytest.fixture(scope="module")
def many(shared, tmp_path_factory):
    """An index of many photos with dates, in folders by month."""
    index = type(shared)(tmp_path_factory.mktemp("many"))
    for path in index.photos.rglob("*.png"):
        path.unlink()
    index.days = {}
    for k in range(MANY):
        day = time.strftime("%Y:%m:%d", time.gmtime(1704067200 + k // 2 * 86_400))
        path = index.photos / day[:7].replace(":", "/") / f"{k:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Model] = "X100"
        exif.get_ifd(ExifTags.IFD.Exif).update({
            ExifTags.Base.DateTimeOriginal: f"{day} 12:00:{k % 60:02d}",
            ExifTags.Base.OffsetTimeOriginal: "+01:00",
        })  # fmt: skip
        exif.get_ifd(ExifTags.IFD.GPSInfo).update({
            ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (59.0, 18.0, 0.0),
            ExifTags.GPS.GPSLongitudeRef: "E", ExifTags.GPS.GPSLongitude: (18.0, 3.0, 0.0),
        })  # fmt: skip
        Image.new("RGB", (12, 12), (k, 2 * k % 256, 0)).save(path, exif=exif.tobytes())
        index.days[str(path.relative_to(index.photos))] = (day, k % 60)
    index.sync()
    return index


@pytest.fixture
def slowly(driver):
    """Makes the network slow: `slowly(milliseconds, bytes a second)`."""
    driver.execute_cdp_cmd("Network.enable", {})

    def emulate(latency, upload=-1):
        driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": latency,
                "downloadThroughput": -1,
                "uploadThroughput": upload,
            },
        )

    yield emulate
    emulate(0)


def newest(index):
    """Paths, the newest photo first."""
    return sorted(index.days, key=lambda path: index.days[path], reverse=True)


def paths(person):
    return [path for _, path in person.tiles()]


FOCUSED = (
    "const one = document.activeElement;"
    "return one.matches('.tile') ? one.querySelector('.file').title : one.id"
)
VISIBLE = "return document.getElementById(arguments[0]).getClientRects().length > 0"


@pytest.mark.slow
def test_timeline_and_folders(many, serve, driver, visit, violations):
    from selenium.webdriver.common.keys import Keys

    served = serve(many.folder)
    person = visit(served.url)
    order = newest(many)
    person.wait(lambda: paths(person)[:60] == order[:60])
    months = "return [...document.querySelectorAll('#grid h2')].map((title) => title.innerText)"
    assert person.js(months)[:1] == ["March 2024"]

    # The end comes as one scrolls there; what the keyboard goes to next lies below, or beside.
    for seen in (120, MANY):
        person.js("scrollTo(0, document.body.scrollHeight)")
        person.wait(lambda seen=seen: len(paths(person)) >= seen)
    assert paths(person) == order
    assert person.js(months) == ["March 2024", "February 2024", "January 2024"]
    assert not person.js(VISIBLE, "more")
    person.js("document.querySelector('.tile').focus()")
    person.press(Keys.ARROW_DOWN)
    below = person.js(
        "const place = Number(document.activeElement.dataset.place);"
        "const left = (n) => tiles[n].getBoundingClientRect().left;"
        "return [place, left(place), left(0)]"
    )
    assert below[0] > 1
    assert below[1] == below[2]
    person.press(Keys.ARROW_UP, Keys.ARROW_RIGHT)
    assert person.js(FOCUSED) == order[1]
    person.press(Keys.END)
    assert person.js(FOCUSED) == order[-1]

    # Back from a search leads to the same place.
    place = "return [tiles.length, scrollY]"
    before = person.js(place)
    person.press(Keys.ENTER)
    person.wait(lambda: person.text("#asked-name") == order[-1])
    driver.back()
    person.wait(lambda: person.js(place) == before, before)
    person.js("focusTile(arguments[0])", MANY - 1)

    # Large: when it was taken, and by what; the place is not said.
    person.press(Keys.SPACE)
    person.wait(lambda: person.text("#view-taken") == "1 January 2024, 12:00 · X100")
    person.find("#details-of summary").click()
    assert person.text("#details") == "Date from\nthe clock of the camera, UTC+01:00"
    assert not person.js(VISIBLE, "original")
    assert violations() == []
    person.press(Keys.ESCAPE)

    # A month; the oldest first; a folder; a word of the path; a date.
    person.js("scrollTo(0, 0)")
    person.find("#month option[value='2024-01']").click()
    person.wait(lambda: paths(person)[:1] == [p for p in order if p.startswith("2024/01")][:1])
    assert driver.current_url == f"{served.url}/?to=2024-01-31"
    assert person.find("#to").get_attribute("value") == "2024-01-31"
    person.find("#reset").click()
    person.wait(lambda: paths(person)[:1] == order[:1])
    person.find("#views a[data-view=oldest]").click()
    person.wait(lambda: paths(person)[:3] == order[::-1][:3])
    person.find("#views a[data-view=folders]").click()
    person.wait(lambda: person.text("#headline") == "Folders")
    names = "return [...document.querySelectorAll('.tile')].map((tile) => tile.innerText)"
    person.wait(lambda: person.js(names)[0:1] == ["2024/01\n62 photos"])
    assert person.js(names) == ["2024/01\n62 photos", "2024/02\n58 photos", "2024/03\n10 photos"]
    person.find(".tile").click()
    person.wait(lambda: person.text("#headline") == "Photos in 2024/01")
    person.wait(lambda: paths(person)[:1] == ["2024/01/061.png"])
    driver.get(f"{served.url}/?path=13.PNG&from=2024-02-01")
    person.wait(lambda: paths(person) == ["2024/02/113.png"])
    person.find("#views a[data-view=random]").click()
    person.wait(lambda: person.text("#headline") == "Some photos")
    driver.get(f"{served.url}/?path=nothing")
    person.wait(lambda: "no photo that the filters let through" in person.text("#message"))
    person.find("#message button").click()
    person.wait(lambda: paths(person)[:1] == order[:1])
    assert person.js("return document.activeElement.id") == "results"
    assert [line for line in person.console() if "Canvas2D" not in line] == []  # those are axe's


@pytest.mark.slow
def test_picked_photos_are_taken_along_as_a_list(many, serve, driver, visit, violations, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    served = serve(many.folder, "--originals", "--show-place")
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    person = visit(served.url)
    order = newest(many)
    person.wait(lambda: len(paths(person)) >= 60)
    person.js("document.querySelector('.tile').focus()")
    person.press("x", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "x")
    assert person.text("#picked-count") == "2 photos picked"
    # A click picks now; with Shift all up to there.
    tiles = driver.find_elements("css selector", ".tile")
    ActionChains(driver).key_down(Keys.SHIFT).click(tiles[4]).key_up(Keys.SHIFT).perform()
    tiles[0].click()
    assert person.text("#picked-count") == "3 photos picked"
    person.find("#views a[data-view=oldest]").click()
    person.wait(lambda: paths(person)[:1] == order[-1:])
    assert person.js("return document.querySelectorAll('.pick input:checked').length") == 0
    assert person.text("#picked-count") == "3 photos picked"
    person.find("#export").click()
    person.wait(
        lambda: (tmp_path / "photos.csv").exists() and os.listdir(tmp_path) == ["photos.csv"]
    )
    rows = list(csv.DictReader(io.StringIO((tmp_path / "photos.csv").read_text())))
    assert [row["path"] for row in rows] == order[2:5]
    assert {row["label"] for row in rows} == {"2024"}
    assert {row["camera"] for row in rows} == {"X100"}
    assert all(row["taken"].endswith("+01:00") for row in rows)
    # What a spreadsheet would take for a formula, and what needs quotes.
    odd = (
        "picked.clear(); picked.set(1, { path: '=a,b.png', labels: ['say \"x\"'], taken: '',"
        " camera: '' }); return pickedList()"
    )
    assert person.js(odd) == 'path,label,taken,camera\r\n"./=a,b.png","say ""x""",,\r\n'
    person.find("#pick-done").click()
    assert person.js("return document.activeElement.id") == "pick"
    assert not person.js(VISIBLE, "picked")

    # The original, and the place, where they are allowed.
    person.js("document.querySelector('.tile').focus()")
    person.press(Keys.SPACE)
    person.find("#details-of summary").click()
    person.wait(lambda: "Place\n59.30000, 18.05000" in person.text("#details"))
    person.find("#download").click()
    name = os.path.basename(order[-1])
    person.wait(lambda: (tmp_path / name).exists())
    assert (tmp_path / name).read_bytes() == (many.photos / order[-1]).read_bytes()
    before = driver.current_window_handle
    person.find("#original").click()
    person.wait(lambda: len(driver.window_handles) == 2)
    driver.switch_to.window(driver.window_handles[1])
    try:
        person.wait(lambda: person.js("return document.images[0]?.naturalWidth") == 12)
    finally:
        driver.close()
        driver.switch_to.window(before)


def press_mouse(driver, x, y):
    """A click at a place of the screen, wherever the page has scrolled to."""
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


@pytest.mark.slow
def test_tiles_at_the_edge_and_the_focus(shared, serve, driver, visit):
    """A tile that is not wholly in view is shown large; the focus is never lost."""
    from selenium.webdriver.common.keys import Keys

    served = serve(shared.folder)
    person = visit(f"{served.url}/?id=2&k=4")
    person.wait(lambda: len(person.tiles()) == 4)
    driver.set_window_size(1280, 480)
    where = (
        "const look = document.querySelectorAll('.look')[arguments[0]].getBoundingClientRect();"
        "return [look.left + look.width / 2, look.top + look.height / 2,"
        " document.querySelector('.tile').getBoundingClientRect().bottom - innerHeight, scrollY]"
    )

    def opens(place):
        """Whether a press shows a tile large that is cut, and the page stays where it is."""
        person.js("document.getElementById('view').close(); scrollTo(0, 0)")
        x, y, cut, scrolled = person.js(where, place)
        press_mouse(driver, x, y)
        time.sleep(0.3)
        is_open = person.js("return document.getElementById('view').open")
        return cut > 0 and is_open and person.js("return scrollY") == scrolled

    for place in range(4):  # again where the window, or pictures, had moved it meanwhile
        person.wait(lambda place=place: opens(place))
        assert person.text("#view-name") == person.tiles()[place][1]
    person.press(Keys.ESCAPE)
    person.wait(lambda: not person.js("return document.getElementById('view').open"))
    driver.set_window_size(1280, 900)

    # Show more; clear the filters, by both buttons; begin anew.
    person.js("document.getElementById('more').focus()")
    person.press(Keys.ENTER)
    person.sees([pair for pair in shared.nearest(0, 0, 140) if pair[1] != "blue/2.png"])
    fifth = person.tiles()[4][1]
    person.wait(lambda: person.js(FOCUSED) == fifth)
    for button in ("reset", "message"):
        driver.get(f"{served.url}/?id=2&path=nothing")
        person.wait(lambda: "Nothing found" in person.text("#message"))
        css = "#message button" if button == "message" else "#reset"
        person.js(f"document.querySelector({css!r}).focus()")
        person.press(Keys.ENTER)
        person.wait(lambda: len(person.tiles()) == 9)
        person.wait(lambda: person.js(FOCUSED) == "results")
    person.js("document.getElementById('clear').focus()")
    person.press(Keys.ENTER)
    person.wait(lambda: person.text("#headline") == "Photos" and len(person.tiles()) == 10)
    person.wait(lambda: person.js(FOCUSED) == "results")
    assert person.console() == []


@pytest.mark.slow
def test_sending_is_shown_and_leaves_nothing_behind(shared, serve, driver, visit, slowly):
    served = serve(shared.folder)
    person = visit(f"{served.url}/?path=nothing")
    person.wait(lambda: "Nothing found" in person.text("#message"))
    slowly(700)
    person.drop("notes.txt", b"not a picture")
    person.wait(lambda: person.js("return document.querySelector('.skeleton')"))
    person.wait(lambda: "cannot be read as a picture" in person.text("#message"))
    assert person.js("return document.querySelector('.skeleton')") is None
    assert not person.js(VISIBLE, "progress")

    # Another search may begin meanwhile: what is shown is the last one.
    person.drop("mine.png", shared.body(180, 20, 0))
    person.wait(lambda: "mine.png" in person.text("#progress-text"))
    person.find("#cancel").click()
    person.wait(lambda: not person.js(VISIBLE, "progress"))
    assert person.text("#message") == ""
    assert person.js("return document.querySelector('.skeleton')") is None
    slowly(0, 20_000)
    driver.get(served.url)
    person.wait(lambda: len(person.tiles()) == 10)
    person.drop("large.bmp", shared.body(180, 20, 0, kind="BMP", size=(130, 130)))
    said = set()
    person.wait(lambda: said.add(person.text("#progress-text")) or len(said) > 2)
    assert any(text.startswith("Sending large.bmp: ") and "%" in text for text in said)
    person.sees(shared.nearest(180, 20, 0))
    assert not person.js(VISIBLE, "progress")


@pytest.mark.slow
def test_a_busy_service_is_asked_again(shared, serve, driver, visit):
    """429 is no reason to call a file gone; only 410 is."""
    served = serve(shared.folder, "--rate", "0.2")
    person = visit(f"{served.url}/?view=random")
    person.wait(lambda: len(person.tiles()) == 10)
    loaded = (
        "return [...document.querySelectorAll('.tile img')].filter((i) => i.complete &&"
        " i.naturalWidth).length"
    )
    person.wait(lambda: person.js(loaded) == 10)
    again = "for (const image of document.querySelectorAll('.tile img')) image.src += '&again'"
    refused = []
    while not refused:
        person.js(again)
        time.sleep(0.3)
        refused = [line for line in person.console() if "429" in line]
    person.wait(lambda: person.js(loaded) == 10)
    assert person.js("return document.querySelectorAll('.gone').length") == 0


def test_results_come_first_on_a_phone(shared, serve, driver, visit, violations):
    served = serve(shared.folder)
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    person = visit(f"{served.url}/?id=2")
    person.wait(lambda: len(person.tiles()) == 9)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    top = "return document.querySelector('.tile').getBoundingClientRect().top"
    person.wait(lambda: person.js("return innerWidth") == 390 and person.js(top) < 400)
    assert violations() == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "mobile"), [(1280, False), (640, False), (390, True)])
def test_no_state_keeps_people_out(many, serve, driver, visit, violations, slowly, width, mobile):
    """axe-core finds nothing, in the light and in the dark, at 200 % zoom and on a phone."""
    served = serve(many.folder, "--originals", "--show-place", "--rate", "300")
    person = visit(served.url)
    screen = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": mobile}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def state(ready, what):
        person.wait(ready, what)
        assert violations() == [], what
        assert person.js("return document.documentElement.scrollWidth") <= width, what

    driver.get(served.url)
    state(lambda: len(person.tiles()) >= 60, "timeline")
    person.find("#pick").click()
    person.js("document.querySelectorAll('.tile')[2].click()")
    state(lambda: person.text("#picked-count") == "1 photo picked", "picked")
    driver.get(f"{served.url}/?view=folders")
    state(lambda: person.text("#headline") == "Folders", "folders")
    driver.get(f"{served.url}/?path=nothing")
    state(lambda: "Nothing found" in person.text("#message"), "nothing")
    driver.get(f"{served.url}/?id=99999")
    state(lambda: "not in the index" in person.text("#message"), "gone")
    driver.get(f"{served.url}/?id=12")
    state(lambda: len(person.tiles()) == 24, "search")
    person.js("document.getElementById('options').open = true")
    state(lambda: person.js(VISIBLE, "folder"), "options")
    person.js("document.querySelector('.look').click()")
    person.find("#details-of summary").click()
    state(lambda: "59.3" in person.text("#details"), "large")
    person.find("#close").click()
    person.drop("notes.txt", b"not a picture")
    state(lambda: "cannot be read as a picture" in person.text("#message"), "refused")
    slowly(60_000)
    person.drop("mine.png", many.body(180, 20, 0))
    state(lambda: "mine.png" in person.text("#progress-text"), "sending")
    person.find("#cancel").click()
    slowly(0)
    driver.get(f"{served.url}/login?wrong&next=docs")
    state(lambda: person.text("#wrong") == "That is not the token.", "login")
    driver.get(f"{served.url}/docs")
    state(lambda: driver.find_elements("css selector", ".operation"), "docs")
