"""The map of all photos and the learning curve in a browser; who learns is a stand-in."""

import numpy as np
import pytest

from ssah_tf.data.label_round import Layout, Outcome

#: Two groups of photos, left and right; the first 60 are on the left.
COUNT = 80
ROUND = {
    "classes": 3, "queries": 10, "weak": [], "changed": 7, "seconds": 1.0,
}  # fmt: skip


def layout(count=COUNT):
    rng = np.random.default_rng(0)
    side = (np.arange(count) >= 60).astype(int)
    places = np.stack([side, np.full(count, 0.5)], axis=1) + rng.uniform(-0.05, 0.05, (count, 2))
    return Layout(
        f"made up {count}", np.clip(places, 0, 1).astype(np.float32), side, np.array([10, 70])
    )


@pytest.fixture
def on_map(served_labels, visit):
    """The page with the map open: the person, and the `Labelling`."""
    url, labelling = served_labels
    begin = labelling.learner.begin

    def lay_out(task):
        if task.lay_out:
            labelling.take(Outcome(None, layout=layout(len(labelling))))
        else:
            begin(task)

    labelling.learner.begin = lay_out
    person = visit(url)
    person.wait(lambda: person.js("return state && photos.size") == 36)
    person.find("#show-map").click()
    person.wait(lambda: person.js("return map.drawing !== null && map.revision === state.revision"))
    return person, labelling


def selected(person):
    return sorted(person.js("return [...map.selected]"))


def drag(person, *places, key=None):
    """Press the mouse at the first place, and move it over the others: shares of the map."""
    from selenium.webdriver.common.action_chains import ActionChains

    plane = person.find("#plane")
    width, height = plane.size["width"], plane.size["height"]
    moves = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in places]
    chain = ActionChains(person.driver, duration=20)
    if key:
        chain.key_down(key)
    chain.move_to_element_with_offset(plane, *moves[0]).click_and_hold()
    for place in moves[1:]:
        chain.move_to_element_with_offset(plane, *place)
    chain.release()
    if key:
        chain.key_up(key)
    chain.perform()


def lefts(labelling):
    return {labelling.verdict(position).labels for position in range(60)}


@pytest.mark.slow
def test_photos_that_came_later(on_map, tmp_path, violations):
    """The page says that the map lacks them, and offers to make it anew."""
    person, labelling = on_map
    assert not person.find("#map-old").is_displayed()
    for name in ("x.png", "y.png"):
        (tmp_path / "photos" / name).write_bytes((tmp_path / "photos" / "00.png").read_bytes())
    labelling.take(Outcome(labelling.suggested, added=[("x.png", "a" * 64), ("y.png", "b" * 64)]))
    person.wait(lambda: person.find("#map-old").is_displayed())
    assert person.text("#map-lacks") == "The map lacks 2 photos, which came later."
    assert person.text("#facts").startswith("82 photos")
    assert violations() == []
    labelling.change([81], "label", "owl")  # of one that is not on the map
    person.wait(lambda: person.js("return map.revision === state.revision && state.labelled === 1"))
    person.find("#map-anew").click()
    person.wait(lambda: person.js("return map.cluster.length") == 82)
    assert not person.find("#map-old").is_displayed()
    person.wait(lambda: person.js("return map.drawing.kinds[81]") >= 0)
    assert person.console() == []


@pytest.mark.slow
def test_a_region_is_selected_labelled_and_undone(on_map, tmp_path):
    """By a line with the mouse, and by keys; one step; a second label leaves the first ones."""
    from selenium.webdriver.common.keys import Keys

    person, labelling = on_map
    person.find("#mode-select").click()
    half = person.js("return map.drawing.on(0)[0] / map.drawing.width") + 0.15
    drag(person, (0.01, 0.1), (half, 0.1), (half, 0.95), (0.01, 0.95))
    assert selected(person) == [*range(60)]
    assert person.text("#chosen-text") == "60 photos are selected."
    person.wait(
        lambda: person.js("return document.querySelectorAll('#chosen-list li').length") == 24
    )
    person.press("cat", Keys.ENTER)
    person.wait(lambda: lefts(labelling) == {("cat",)})
    assert len(labelling.journal.steps) == 1
    assert labelling.verdict(60).labels == ()
    assert selected(person) == []
    person.wait(lambda: person.text("#legend") == "cat\n● no label")

    person.js("document.getElementById('map-canvas').focus()")
    person.press("-", Keys.BACKSPACE)
    person.wait(lambda: lefts(labelling) == {()})
    person.wait(lambda: person.text("#legend") == "● no label")

    # The ring of the keyboard, in the middle: nothing there; then on the group at the right.
    person.press(Keys.SPACE)
    assert selected(person) == []
    person.js("map.drawing.pan(map.drawing.width / 2 - map.drawing.on(70)[0], 0)")
    person.press(Keys.SPACE)
    assert selected(person) == [*range(60, 80)]
    labelling.change([61], "label", "owl")  # another page
    person.wait(lambda: person.js("return map.drawing.kinds[61]") >= 0)
    assert "A label goes to the 19 of which nothing was said." in person.text("#chosen-text")
    person.press("1")
    person.wait(lambda: labelling.verdict(79).labels == ("cat",))
    assert labelling.verdict(61).labels == ("owl",)
    person.press(Keys.SPACE, Keys.ESCAPE)
    assert selected(person) == []
    assert person.console() == []


@pytest.mark.slow
def test_by_pictures_taps_wheel_and_hover(on_map):
    from selenium.webdriver.common.keys import Keys

    person, labelling = on_map
    # The picture of a cluster stands for its photos; a tile takes one out; its point puts it back.
    person.wait(lambda: person.find("#map-pictures button").is_displayed())
    person.find("#map-pictures button:nth-child(2)").click()
    assert selected(person) == [*range(60, 80)]
    person.wait(
        lambda: person.js("return document.querySelectorAll('#chosen-list li').length") == 20
    )
    person.find("#chosen-list [data-id='63']").click()
    assert selected(person) == [n for n in range(60, 80) if n != 63]
    person.find("#with-pictures").click()
    person.js("document.getElementById('plane').scrollIntoView()")

    def place(photo):
        return person.js(
            "const [x, y] = map.drawing.on(arguments[0]);"
            "return [x / map.drawing.width, y / map.drawing.height]",
            photo,
        )

    drag(person, place(63))
    assert selected(person) == [*range(60, 80)]
    # What is below the mouse is said, also in words.
    person.wait(lambda: person.text("#bubble") == "63.png: no label")
    person.find("#skip").click()
    person.wait(lambda: labelling.verdict(63).mark == "skipped")
    person.wait(lambda: "skipped or not sure" in person.text("#legend"))

    # Dragging moves; with Shift it selects; the wheel zooms at the mouse; all of it, again.
    before = place(5)
    drag(person, (0.5, 0.2), (0.6, 0.2))
    assert place(5)[0] == pytest.approx(before[0] + 0.1, abs=0.01)
    assert selected(person) == []
    person.find("#zoom-in").click()
    assert person.js("return map.drawing.scale / map.drawing.whole") == pytest.approx(1.4)
    person.js(
        "plane.dispatchEvent(new WheelEvent('wheel', { deltaY: -100, cancelable: true,"
        " clientX: plane.getBoundingClientRect().left + 50,"
        " clientY: plane.getBoundingClientRect().top + 80 }))"
    )
    assert person.js("return map.drawing.scale / map.drawing.whole") > 1.7
    person.find("#zoom-all").click()
    assert place(5) == pytest.approx(before, abs=1e-3)
    middle = place(5)[0] + 0.15
    drag(person, (0.01, 0.1), (middle, 0.1), (middle, 0.95), (0.01, 0.95), key=Keys.SHIFT)
    assert selected(person) == [*range(60)]
    person.find("#several").click()
    person.press("a", Keys.ENTER)
    person.press("b", Keys.ENTER)
    person.wait(lambda: lefts(labelling) == {("a", "b")})
    person.find("#show-groups").click()
    assert person.text("#headline") == "Photos to label"
    assert person.find("#list").is_displayed()
    assert not person.find("#map").is_displayed()
    assert person.console() == []


@pytest.mark.slow
def test_two_fingers_zoom(on_map):
    person, _ = on_map
    before = person.js("return map.drawing.scale")
    person.js("""
        const touch = (kind, id, x) => plane.dispatchEvent(new PointerEvent(kind, { pointerId: id,
          pointerType: "touch", clientX: plane.getBoundingClientRect().left + x, bubbles: true,
          clientY: plane.getBoundingClientRect().top + 200 }));
        plane.setPointerCapture = () => {};
        touch("pointerdown", 7, 300); touch("pointerdown", 8, 400);
        touch("pointermove", 8, 500);
        touch("pointerup", 7, 300); touch("pointerup", 8, 500);
    """)
    assert person.js("return map.drawing.scale") == pytest.approx(2 * before)
    assert selected(person) == []


@pytest.mark.slow
def test_without_the_extra(served_labels, visit):
    """A line says what to install; the rest works."""
    url, labelling = served_labels
    labelling.no_map = "the map needs sklearn: pip install 'ssah-tf[label]'"
    person = visit(url)
    person.wait(lambda: person.js("return state && photos.size") == 36)
    person.find("#show-map").click()
    person.wait(lambda: "pip install 'ssah-tf[label]'" in person.text("#map-wait"))
    assert not person.find("#plane").is_displayed()
    person.find("#show-groups").click()
    person.press("cat", "\ue007")
    person.wait(lambda: labelling.verdict(0).labels == ("cat",))


def rounds_of(labelling, scores, forecast):
    for number, score in enumerate(scores, start=1):
        last = number == len(scores)
        labelling.take(
            Outcome(
                [[0, 1, 2]],
                {
                    **ROUND, "labelled": 50 * number, "map": score, "low": score - 0.1,
                    "high": score + 0.1, "forecast": forecast if last else [],
                },
            )
        )  # fmt: skip


@pytest.mark.slow
def test_the_learning_curve(served_labels, visit):
    """Each round with its interval; no number of what would be without its range."""
    url, labelling = served_labels
    rounds_of(labelling, [0.5, 0.6], [])
    person = visit(url)
    person.wait(lambda: "cannot be said yet" in person.text("#curve"))
    svg = "#curve svg"
    assert "mAP after 2 rounds: .500 with 50 labels, .600 with 100 labels" in person.find(
        svg
    ).get_attribute("aria-label")
    assert len(person.driver.find_elements("css selector", f"{svg} circle")) == 2
    ahead = [
        {"labels": 40, "gain": 0.01, "low": 0.001, "high": 0.03},
        {"labels": 150, "gain": 0.041, "low": 0.004, "high": 0.09},
    ]
    rounds_of(labelling, [0.65], ahead)
    said = "About 150 more labels would give +.041 mAP (95 % range +.004 to +.090)."
    person.wait(lambda: said in person.text("#curve"))
    person.find("#curve summary").click()
    cells = [row.text for row in person.driver.find_elements("css selector", "#curve tbody tr")]
    assert cells == [
        "50 .500 .400 to .600",
        "100 .600 .500 to .700",
        "50 .650 .550 to .750",
        "40 +.010 +.001 to +.030",
        "150 +.041 +.004 to +.090",
    ]


@pytest.mark.slow
def test_nothing_keeps_people_out(on_map, driver, violations):
    """axe-core finds nothing on the map, in the light and in the dark, and on a phone."""
    person, labelling = on_map
    rounds_of(labelling, [0.5, 0.6, 0.65], [{"labels": 150, "gain": 0.04, "low": 0, "high": 0.09}])
    labelling.change([0, 1], "label", "cat")
    labelling.change([2], "skip")

    person.wait(lambda: "cat" in person.text("#legend"))
    assert violations() == []
    person.js("select([0, 1, 2, 3]); document.querySelector('#curve details').open = true")
    person.wait(
        lambda: person.js("return document.querySelectorAll('#chosen-list li').length") == 4
    )
    assert violations() == []
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True},
    )
    assert person.js("return document.documentElement.scrollWidth") <= 360
    assert violations() == []
    labelling.layout = None
    labelling.no_map = "the map needs sklearn: pip install 'ssah-tf[label]'"
    person.js("load()")
    person.wait(lambda: "pip install" in person.text("#map-wait"))
    assert violations() == []
