"""The page in a browser, as people use it."""

import pytest


def test_search(shared, serve, driver, visit):
    from selenium.webdriver.common.keys import Keys

    served = serve(shared.folder)
    person = visit(served.url)
    person.wait(lambda: len(person.tiles()) == 10)
    assert person.text("#headline") == "Photos"
    assert person.text("#facts") == "10 photos, codes of 24 bits"

    # A picture from outside is dropped.
    colour = (180, 20, 0)
    person.drop("mine.png", shared.body(*colour))
    person.sees(shared.nearest(*colour))
    assert person.text("#headline") == "10 neighbours of mine.png"
    assert f"code={shared.code_of(*colour)}" in driver.current_url
    assert person.js("return document.getElementById('preview').src").startswith("data:image/png")
    assert person.js("return document.querySelectorAll('.tile img.pixels').length") == 10

    # A neighbour is clicked, then another; it is not its own neighbour.
    def others(path):
        return [pair for pair in shared.nearest(*shared.colours[path]) if pair[1] != path]

    person.find(".tile").click()
    person.sees(others("red/2.png"))
    assert driver.current_url.endswith(f"/?id={list(shared.colours).index('red/2.png')}")
    assert person.text("#asked-name") == "red/2.png"
    assert person.text("#asked-labels") == "red"
    driver.back()
    person.sees(shared.nearest(*colour))
    assert person.text("#asked-name") == "mine.png"
    driver.refresh()
    person.sees(shared.nearest(*colour))
    assert person.js("return document.getElementById('preview').src").startswith("data:image/png")
    driver.back()
    person.wait(lambda: person.text("#headline") == "Photos")
    driver.forward()
    person.sees(shared.nearest(*colour))

    # By the keyboard: along the tiles, large, closed, searched on, back to the panel.
    person.js("document.querySelector('.tile').focus()")
    person.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    focused = "return document.activeElement.querySelector('.file')?.title"
    second = shared.nearest(*colour)[1][1]
    assert person.js(focused) == second
    person.press(Keys.SPACE)
    person.wait(lambda: person.js("return document.getElementById('view').open"))
    assert second in person.text("#view-name")
    person.press(Keys.ARROW_RIGHT)
    assert shared.nearest(*colour)[2][1] in person.text("#view-name")
    person.press(Keys.ARROW_LEFT, Keys.ESCAPE)
    person.wait(lambda: not person.js("return document.getElementById('view').open"))
    assert person.js(focused) == second
    person.press(Keys.ENTER)
    person.sees(others(second))
    assert person.js(focused) == others(second)[0][1]
    person.press(Keys.ESCAPE)
    assert person.js("return document.activeElement.id") == "choose"

    # Pasted; filtered by label, by distance and by path; nothing left; cleared.
    person.paste("pasted.png", shared.body(0, 0, 230))
    person.sees(shared.nearest(0, 0, 230))
    person.find("input[value=green]").click()
    person.sees(shared.nearest(0, 0, 230, among="green"))
    person.find("input[value=blue]").click()
    both = [pair for pair in shared.nearest(0, 0, 230) if not pair[1].startswith("red")]
    person.sees(both)
    set_value = (
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input'))"
    )
    person.js(set_value, "radius", 2)
    person.sees([pair for pair in both if pair[0] <= 2])
    assert person.text("#radius-text") == "alike, up to 2 bits"
    person.js(set_value, "path", "*/nothing*")
    person.wait(lambda: "There is no other photo within 2 bits" in person.text("#message"))
    assert person.text("#active") == "4"
    person.find("#reset").click()
    person.sees(shared.nearest(0, 0, 230))
    person.js(set_value, "k", 3)
    person.sees(shared.nearest(0, 0, 230)[:3])

    own = {served.url}
    assert {"/".join(url.split("/")[:3]) for url in person.asked() if url[:4] == "http"} == own
    assert person.console() == []


def test_search_by_label(with_unlabelled, serve, driver, visit):
    """A word is typed; which labels it matches is said; filters, other labels and back work."""
    from selenium.webdriver.common.keys import Keys

    index, served = with_unlabelled, serve(with_unlabelled.folder)
    person = visit(served.url)
    person.wait(lambda: len(person.tiles()) == 14)

    def type_word(word):
        person.find("#like").clear()
        person.find("#like").send_keys(word, Keys.ENTER)

    type_word(" BLU ")
    near = index.nearest(*index.of_blue, among="unlabelled")
    person.sees(near)
    assert person.text("#headline") == "3 photos like those of “blue”"
    assert person.text("#asked-name") == "blue"
    assert person.text("#asked-labels").split("\n") == ["Also matches", "blue sky"]
    assert driver.current_url == f"{served.url}/?like=BLU"
    person.find("input[value=red]").click()
    person.sees(index.nearest(*index.of_blue, among="red"))
    person.find("#reset").click()
    person.sees(near)

    # The other label that matches, and back; the first of them, and more.
    person.find("#asked-labels a").click()
    person.sees(index.nearest(100, 180, 255, among="unlabelled"))
    assert person.find("#like").get_attribute("value") == "blue sky"
    assert person.text("#asked-labels") == ""
    driver.back()
    person.sees(near)
    driver.get(f"{served.url}/?like=blue&k=1")
    person.sees(near[:1])
    assert person.text("#headline") == "One photo like those of “blue”"
    person.find("#more").click()
    person.sees(near)
    driver.get(f"{served.url}/?like=blue&radius=0")
    person.wait(lambda: "no photo without a label with the same code" in person.text("#message"))
    assert person.text("#headline") == "No photos like those of “blue”"
    assert person.console() == []

    # A photo that it found is searched on with; a word that matches nothing.
    driver.get(f"{served.url}/?like=blue")
    person.sees(near)
    person.find(".tile").click()
    person.wait(lambda: person.text("#asked-name") == near[0][1])
    assert person.find("#like").get_attribute("value") == ""
    type_word("blau")
    person.wait(lambda: "No label like that" in person.text("#message"))
    assert "near are blue" in person.text("#message")


def test_what_goes_wrong(own, serve, driver, visit):
    """Each trouble has its words; what was there before stays to be seen."""
    (own.photos / "green" / "0.png").unlink()
    served = serve(own.folder, "--max-upload", "0.02")
    person = visit(f"{served.url}/?id=2")
    person.wait(lambda: len(person.tiles()) == 9)
    person.wait(lambda: person.js("return document.querySelector('.gone')?.innerText"))

    def trouble(*words):
        person.wait(lambda: all(word in person.text("#message") for word in words), words)

    person.drop("notes.txt", b"not a picture")
    trouble("That file cannot be read as a picture", "Empty, or not an image.")
    assert len(person.tiles()) == 9
    person.drop("large.png", bytes(30_000))
    trouble("That file is too large", "large.png has 0.029 MiB; at most 0.020 MiB are taken.")
    person.drop("empty.png", b"")
    trouble("That file is empty")
    driver.get(f"{served.url}/?id=99")
    trouble("That photo is not in the index any more")
    driver.get(f"{served.url}/?filter=&label=none")
    trouble("That did not work", "No photo of the index has the label 'none'")
    driver.get(f"{served.url}/?id=2")
    person.wait(lambda: len(person.tiles()) == 9)
    assert person.console()  # the browser tells of each refused request
    served.stop()
    person.find(".tile").click()
    trouble("The service does not answer", "Try again")


@pytest.mark.slow
def test_token(shared, serve, driver, visit):
    token = "0123456789abcdef"
    served = serve(shared.folder, environment={"SSAH_TOKEN": token})
    person = visit(served.url)
    for typed in ("wrong", token):
        assert driver.current_url.startswith(f"{served.url}/login")
        person.find("#token").send_keys(typed)
        person.find("button").click()
        if typed == "wrong":
            person.wait(lambda: person.text("#wrong") == "That is not the token.")
    person.wait(lambda: len(person.tiles()) == 10)
    person.find("#logout button").click()
    person.wait(lambda: driver.current_url == f"{served.url}/login")
    driver.get(f"{served.url}/?id=2&label=red")
    assert driver.current_url == f"{served.url}/login?next=%3Fid%3D2%26label%3Dred"
    box = person.js("return document.querySelector('form').getBoundingClientRect().toJSON()")
    assert abs(box["left"] + box["width"] / 2 - person.js("return innerWidth") / 2) < 1
    person.find("#token").send_keys(token)
    person.find("button").click()
    person.wait(lambda: driver.current_url == f"{served.url}/?id=2&label=red")
    person.wait(lambda: len(person.tiles()) == 4)
    assert person.console() == []
    # Signed out elsewhere: the page leads to the form, which leads back.
    driver.delete_all_cookies()
    person.find("#views a").click()
    person.wait(lambda: driver.current_url == f"{served.url}/login?next=%3Flabel%3Dred")


@pytest.mark.slow
def test_widths_modes_and_names(shared, serve, driver, visit):
    """Nothing is wider than the screen, in the light and in the dark; everything has a name."""
    served = serve(shared.folder)
    person = visit(served.url)
    for path, ready in (("/?id=2", ".tile img"), ("/", ".tile img"), ("/docs", ".operation")):
        for width, mode in ((390, "dark"), (800, "light"), (1400, "dark")):
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
            )
            driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": mode}]},
            )
            driver.get(served.url + path)
            person.wait(lambda ready=ready: driver.find_elements("css selector", ready))
            scroll = person.js("return document.documentElement.scrollWidth")
            assert scroll <= width, (path, width, scroll)
        unnamed = person.js(
            "return [...document.querySelectorAll('button, a, input, summary')].filter((e) =>"
            " !(e.innerText || e.ariaLabel || e.labels?.length || e.title)).map((e) => e.outerHTML)"
        )
        assert unnamed == []
        assert person.js("return [...document.images].every((i) => i.hasAttribute('alt'))")
    assert len(driver.find_elements("css selector", ".operation")) == 11
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert person.console() == []
