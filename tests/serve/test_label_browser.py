"""The page of labelling in a browser, as people use it; who learns is a stand-in."""

import pytest

#: Photos of a group, and of a suggestion.
GROUP, COUNT = 3, 36


@pytest.fixture
def served(served_labels):
    """A real service of 80 photos: its address, and the `Labelling`."""
    return served_labels


def shown(person):
    """What the tiles say: number of the photo and what was said of it."""
    return person.js(
        "return [...document.querySelectorAll('.tile')].map((tile) =>"
        " [Number(tile.dataset.id), tile.querySelector('.said').textContent.trim()])"
    )


def labels_of(tmp_path):
    path = tmp_path / "labels.csv"
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return dict(line.split(",") for line in lines)


@pytest.mark.slow
def test_a_round_by_keys(served, visit, driver, tmp_path):
    from selenium.webdriver.common.keys import Keys

    url = served[0]
    person = visit(url)
    person.wait(lambda: len(shown(person)) == COUNT)
    assert person.text("#facts") == "80 photos, 0 labelled"

    # The first of each class is typed; what is typed begins a class: it is filled in.
    def typed(*keys):
        person.press(*keys, Keys.ENTER)

    typed("cat")
    typed("dog")
    person.wait(
        lambda: len(person.js("return [...document.querySelectorAll('.classes kbd')]")) == 2
    )
    typed("d")
    typed("bird")
    person.wait(lambda: len(labels_of(tmp_path)) == 12)
    # Then their keys: 30 photos in all.
    person.press("1", "2", "3", "1", "2", "3")
    expected = [*"cdd", "b", *"cdb", *"cdb"]
    names = {"c": "cat", "d": "dog", "b": "bird"}
    wanted = {f"{n:02d}.png": names[expected[n // GROUP]] for n in range(30)}
    person.wait(lambda: labels_of(tmp_path) == wanted, wanted)
    person.wait(lambda: person.text("#facts") == "80 photos, 30 labelled")
    assert [said for _, said in shown(person)][:30] == [*wanted.values()]

    # Skipped, not sure; undone, also deeper; done again.
    person.press("0", "?")
    person.wait(lambda: "6 skipped or not sure" in person.text("#facts"))
    assert person.text("#status") == "All of these are done: learn, or see other photos"
    person.press(Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE)
    person.wait(lambda: person.text("#facts") == "80 photos, 27 labelled")
    assert labels_of(tmp_path) == {**wanted, **{f"{n}.png": "" for n in (27, 28, 29)}}
    person.wait(lambda: person.text("#status") == "9 photos to go")
    person.js("focusOn(document.querySelector('[data-id=\"27\"]'))")

    # One of a group alone; then the rest of it.
    person.press(Keys.SPACE, "3")
    person.wait(lambda: labels_of(tmp_path)["27.png"] == "bird")
    assert labels_of(tmp_path)["28.png"] == ""
    person.press("3")
    person.wait(lambda: labels_of(tmp_path) == wanted)

    # Learn: progress, numbers, other photos.
    person.find("#learn").click()
    person.wait(lambda: person.text("#what") == "Training: 1 of 4")
    person.wait(lambda: shown(person)[0] == [30, ""])
    assert "mAP .600" in person.text("#numbers")
    assert ".600 to .900" in person.text("#numbers")
    assert "Weakest: cat .250" in person.text("#numbers")
    assert "7 photos without a label are believed to be of another" in person.text("#numbers")

    # Reloaded, all is there; a second round says what was before.
    driver.refresh()
    person.wait(lambda: len(shown(person)) == COUNT)
    assert person.text("#facts") == "80 photos, 30 labelled"
    assert not person.find("#undo").get_attribute("disabled")
    person.find("#learn").click()
    person.wait(lambda: "Before: .600 (.600 to .900)" in person.text("#numbers"))
    assert labels_of(tmp_path) == wanted
    assert person.console() == []
    assert {"/".join(a.split("/")[:3]) for a in person.asked() if a[:4] == "http"} == {url}


@pytest.mark.slow
def test_correct_what_it_believes(served, visit, driver, tmp_path):
    """Right and wrong, each by one key or by the mouse; undone; and what is left."""
    from selenium.webdriver.common.keys import Keys

    url, labelling = served
    labelling.change([78], "label", "cat")
    labelling.change([79], "label", "dog")
    person = visit(url)
    person.wait(lambda: len(shown(person)) == COUNT)
    person.find("#others").click()
    person.wait(lambda: person.text("#believed-class") == "cat (18)\ndog (18)")
    person.js("document.getElementById('believed-class').value = 'dog'")
    person.find("#doubtful").click()
    person.wait(lambda: person.text("#headline") == "Believed to be dog")
    assert shown(person)[:2] == [[35, "64 %"], [33, "66 %"]]
    # Keys that come before the answer to those before them.
    person.press("+", "-", "-")
    person.wait(lambda: person.text("#facts") == "80 photos, 3 labelled")
    seen = [[35, "dog"], [33, "no"], [31, "no"], [29, "70 %"]]
    assert shown(person)[:4] == seen
    assert labels_of(tmp_path) == {"78.png": "cat", "79.png": "dog", "35.png": "dog"}
    person.press(Keys.BACKSPACE)
    person.wait(lambda: shown(person)[2] == [31, "68 %"])
    assert labelling.verdict(33).rejected == ("dog",)
    assert person.text("#believed-class") == "cat (18)\ndog (16)"

    # The surest ones by rows; a wrong one is picked, then the rest is right.
    person.find("#surest").click()
    person.wait(lambda: shown(person)[:2] == [[1, "98 %"], [3, "96 %"]])
    assert 33 not in [number for number, _ in shown(person)]
    person.find('[data-id="3"]').click()
    person.find("#reject").click()
    person.find("#accept").click()
    person.wait(lambda: labels_of(tmp_path).get("11.png") == "dog")
    assert [said for _, said in shown(person)][:6] == ["dog", "no", *["dog"] * 4]
    assert "03.png" not in labels_of(tmp_path)
    person.press("+", "+")
    person.wait(lambda: person.text("#status").startswith("All of these are done: Surest or"))
    person.wait(lambda: person.text("#believed-class") == "cat (18)")
    driver.refresh()
    person.wait(lambda: person.text("#headline") == "Believed to be dog")
    person.find("#suggested").click()
    person.wait(lambda: person.text("#headline") == "Photos to label")
    assert shown(person)[3] == [3, ""]
    assert person.console() == []


@pytest.mark.slow
def test_by_mouse_and_several_labels(served, visit, tmp_path):
    """Buttons and taps alone; a second page, and an edit of the file, are seen."""
    url, labelling = served
    labelling.change([79], "label", "cat")
    labelling.change([78], "label", "dog")
    person = visit(url)
    person.wait(lambda: len(shown(person)) == COUNT)
    person.find("#several").click()
    for button in person.driver.find_elements("css selector", ".classes button"):
        button.click()
    both = [[n, "cat, dog"] for n in range(GROUP)]
    person.wait(lambda: shown(person)[:4] == [*both, [GROUP, ""]])
    person.wait(lambda: labels_of(tmp_path).get("02.png") == "cat;dog")
    person.find("#several").click()
    person.find('[data-id="5"]').click()
    assert person.find('[data-id="5"]').get_attribute("aria-pressed") == "true"
    person.find(".classes button").click()
    person.wait(lambda: labels_of(tmp_path).get("05.png") == "cat")
    assert "03.png" not in labels_of(tmp_path)
    labelling.change([4], "label", "owl")  # another page
    person.wait(lambda: shown(person)[4] == [4, "owl"])
    path = tmp_path / "labels.csv"
    path.write_text(path.read_text().replace("owl", "hawk"))
    person.wait(lambda: shown(person)[4] == [4, "hawk"])
    path.write_text("what is this")
    person.wait(lambda: "expected the columns path and label" in person.text("#message"))


@pytest.mark.slow
def test_nothing_keeps_people_out(served, visit, driver, violations):
    """axe-core finds nothing, in each state, in the light and in the dark, and on a phone."""
    from selenium.webdriver.common.keys import Keys

    labelling = served[1]
    labelling.change([78], "label", "cat")
    labelling.change([79], "label", "dog")
    person = visit(served[0])

    person.wait(lambda: len(shown(person)) == COUNT)
    person.js(
        "document.getElementById('learn').insertAdjacentHTML('afterend', '<button></button>')"
    )
    assert [rule for rule, *_ in violations()] == ["button-name"] * 2  # it would see one
    driver.refresh()
    person.wait(lambda: len(shown(person)) == COUNT)
    assert violations() == []
    person.press(Keys.SPACE, "1", "0", Keys.ARROW_RIGHT, Keys.SPACE)
    person.wait(lambda: "skipped" in person.text("#facts"))
    assert violations() == []
    person.find("#learn").click()
    person.wait(lambda: person.text("#what") == "Training: 1 of 4")
    assert violations() == []
    person.wait(lambda: "mAP" in person.text("#numbers"))
    assert violations() == []
    person.find("#surest").click()
    person.wait(lambda: "Believed to be" in person.text("#headline"))
    person.press("+", Keys.SPACE, "-")
    person.wait(lambda: "no" in [said for _, said in shown(person)])
    assert violations() == []
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True},
    )
    assert violations() == []
    person.press(Keys.ENTER)
    person.wait(lambda: person.js("return document.getElementById('view').open"))
    assert violations() == []
    person.press(Keys.ESCAPE)
    (labelling.table.path).write_text("what is this")
    person.wait(lambda: "expected the columns" in person.text("#message"))
    assert violations() == []


def test_large_and_narrow_and_dark(served, visit, driver, tmp_path):
    """A label typed; a photo large and back by keys; nothing wider than a phone; dark is dark."""
    from selenium.webdriver.common.keys import Keys

    person = visit(served[0])
    person.wait(lambda: len(shown(person)) == COUNT)
    person.press("cat", Keys.ENTER)
    person.wait(lambda: labels_of(tmp_path) == dict.fromkeys(["00.png", "01.png", "02.png"], "cat"))
    person.press(Keys.ARROW_RIGHT, Keys.ENTER)
    person.wait(lambda: person.text("#view-name") == "04.png")
    person.press(Keys.ESCAPE)
    person.wait(lambda: person.js("return document.activeElement.dataset.id") == "4")
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 720, "deviceScaleFactor": 1, "mobile": True},
    )
    assert person.js("return document.documentElement.scrollWidth") <= 360
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = person.js(colour)
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert person.js(colour) != light
