"""Pictures are coded in the browser: the codes of Python, and no picture is sent."""

import base64
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.data.decode import decode
from ssah_tf.export.web import RUNTIME, VERSION, files_of_coding
from ssah_tf.search.labels import PhotoLabels
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.serve.app import make_app
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.policy import POLICY, WITH_WASM, WITH_WORKER
from ssah_tf.serve.settings import Settings
from ssah_tf.system.errors import SsahError

TOKEN = "a-token-of-some-length"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CLIENTS = Path(__file__).parents[2] / "export" / "clients"
NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")


@pytest.fixture(scope="session")
def web_runtime(tmp_path_factory):
    """The files of ONNX Runtime Web, from npm."""
    folder = tmp_path_factory.mktemp("web_runtime")
    pack = ["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"]
    subprocess.run(pack, cwd=folder, check=True, capture_output=True)
    (packed,) = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, [f"package/dist/{name}" for name in RUNTIME], filter="data")
    packed.unlink()
    return folder / "package" / "dist"


def test_a_code_says_whose_it_is(shared, client):
    http = client(shared)
    search = f"/search?k=3&code={shared.code_of(255, 0, 0)}"
    found = http.post(search).json()
    assert http.post(f"{search}&model_id=hand-made").json() == found
    for other in ("other", "", "a\nb"):
        answer = http.post(search, params={"code": shared.code_of(0, 0, 0), "model_id": other})
        assert answer.status_code == 409
        assert "the index of hand-made: encode the image anew" in answer.json()["error"]
        assert len(answer.json()["error"].splitlines()) == 1
    answer = http.post("/search?id=1&model_id=hand-made")
    assert (answer.status_code, "there is no code" in answer.text) == (422, True)
    (said,) = (
        one["description"]
        for one in http.get("/openapi.json").json()["paths"]["/search"]["post"]["parameters"]
        if one["name"] == "model_id"
    )
    assert "409" in said


def test_what_is_served_for_it(shared, client, tmp_path):
    """The encoder and the files of the page, behind the token; without the option neither."""
    plain = client(shared)
    assert plain.get("/about").json()["encode_in_browser"] is False
    assert plain.get("/encoder").status_code == 404
    assert plain.get("/").headers["content-security-policy"] == POLICY
    for name in RUNTIME:
        (tmp_path / name).write_bytes(name.encode())
    with LiveLibrary(shared.folder) as live:
        app = make_app(live, Settings(token=TOKEN), files_of_coding(tmp_path))
        with TestClient(app, base_url="http://127.0.0.1") as http:
            worker = "/coding/web/worker.mjs"
            paths = ["/encoder", "/coding/web/encoder.mjs", f"/coding/runtime/{RUNTIME[1]}"]
            assert [http.get(path).status_code for path in paths] == [401] * 3
            encoder, module, runtime = (http.get(path, headers=BEARER) for path in paths)
            assert encoder.content == (shared.root / "encoder.onnx").read_bytes()
            assert module.headers["content-type"].startswith("text/javascript")
            assert runtime.headers["content-type"] == "application/wasm"
            assert http.get("/about", headers=BEARER).json()["encode_in_browser"] is True
            policies = {
                path: http.get(path, headers=BEARER).headers["content-security-policy"]
                for path in ("/", worker, "/docs", "/login", "/about", *paths[:2])
            }
            assert (policies.pop("/"), policies.pop(worker)) == (WITH_WORKER, WITH_WASM)
            assert set(policies.values()) == {POLICY}
            assert "/encoder" in http.get("/openapi.json", headers=BEARER).json()["paths"]
    assert "; script-src 'self'; " in POLICY
    assert "; script-src 'self' 'wasm-unsafe-eval'; " in WITH_WASM
    assert f"{POLICY}; worker-src 'self'" == WITH_WORKER
    for policy in (POLICY, WITH_WASM):
        assert policy.startswith("default-src 'none';")
        assert "; connect-src 'self'; " in policy


def test_encoder_that_is_gone(own):
    with LiveLibrary(own.folder) as live:
        next(own.folder.glob("encoder*.onnx")).unlink()
        with pytest.raises(SsahError, match="encoder hand-made is not in the index any more"):
            live.encoder_file()


def test_options(shared, ssah, tmp_path):
    both = ("--encode-in-browser", "--web-runtime", tmp_path)
    for words, line in (
        (both[:1], "go together: `npm install onnxruntime-web@"),
        (both[1:], "go together: `npm install onnxruntime-web@"),
        (both, ".mjs: No such file or directory; `npm install onnxruntime-web@"),
    ):
        said = ssah("serve", shared.folder, *words)
        assert (said.code, said.out) == (1, "")
        assert line in said.err


#: Codes a file in the page: code and what may differ, or why it is refused.
CODE = """
const [content, done] = arguments;
const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
encoderHere().then((encoder) => encoder.encode(new Blob([bytes]))).then(
  ({ code, appearance, differs }) => done([code + appearance, differs]),
  (error) => done([`${error.name}: ${error.message}`, []]),
);
"""


def coded(driver, path):
    return driver.execute_async_script(CODE, base64.b64encode(path.read_bytes()).decode())


def looking(visit, served):
    """Who sees the page with all photos."""
    person = visit(served.url)
    person.wait(person.tiles)
    return person


def save_photos(folder):
    """Files whose codes are Python's: JPEG of less than four times 28 px, and PNG, of any kind."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number, pixels in enumerate(load_fashion().pixels[:50]):
        width, height = (int(side) for side in rng.integers(28, 112, 2))
        image = Image.fromarray(pixels).convert("RGB").resize((width, height))
        noise = rng.integers(-20, 20, (height, width, 3))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        how = {"exif": exif} if number % 3 else {}
        if number % 2:
            image.save(folder / f"{number}.png", **how)
        else:
            image.save(folder / f"{number}.jpg", quality=60 + number % 40, **how)
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))
    alpha.save(folder / "alpha.png")
    alpha.convert("LA").save(folder / "grey-alpha.png")
    alpha.quantize(32).save(folder / "palette-alpha.png")
    image.quantize(32).save(folder / "palette.png")
    image.convert("1").save(folder / "one-bit.png")
    image.convert("L").save(folder / "grey.jpg")
    image.save(folder / "progressive.jpg", progressive=True, subsampling=0)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Encoders of random weights, in floats and in integers."""
    from ssah_tf.export.graph import encoder_function
    from ssah_tf.export.identity import DECODE_RULE, model_id
    from ssah_tf.export.int8 import write_int8
    from ssah_tf.export.onnx_model import write_onnx
    from ssah_tf.models import HNet
    from ssah_tf.models.backbones import BACKBONES

    folder, pixels = tmp_path_factory.mktemp("networks"), load_fashion().pixels[:64]
    hnet = HNet(BACKBONES["convnet"](), 48)
    hnet(pixels, training=True)
    about = {"model_id": model_id(hnet, 28), "bits": 48, "image_size": 28}
    about |= {"decode_rule": DECODE_RULE, "backbone": "convnet"}
    about |= {"recipe_hash": "none", "product_version": "0"}
    files = [folder / "float.onnx", folder / "int8.onnx"]
    text = {key: str(value) for key, value in about.items()}
    write_onnx(encoder_function(hnet, 28), files[0], 18, text)
    write_int8(files[0], files[1], pixels)
    return files


@NPM
@pytest.mark.slow
def test_codes_of_python(networks, serve, driver, visit, web_runtime, profiles, tmp_path):
    """Fifty photos and the kinds of files: every bit. What may differ, or is refused, is said."""
    paths = save_photos(tmp_path / "photos")
    for file in networks:
        encoder = Encoder.load(file)
        index = tmp_path / f"index-{file.name}"
        PhotoIndex.open(index, encoder).sync(encoder, [tmp_path / "photos"])
        served = serve(index, "--encode-in-browser", "--web-runtime", str(web_runtime))
        person = looking(visit, served)
        found = [coded(driver, path) for path in paths]
        expected = [code.tobytes().hex() for code in encoder.full_codes(paths)]
        assert [code for code, _ in found] == expected
        assert [differs for _, differs in found] == [[]] * len(paths)
    photo = Image.open(tmp_path / "photos" / "1.png").convert("RGB")
    cases = {
        "large.jpg": ({}, "only browsers decode in full"),
        "p3.jpg": ({"icc_profile": profiles["display p3"]}, "converted by the browser"),
        "srgb.jpg": ({"icc_profile": profiles["srgb formula"]}, ""),
        "webp.webp": ({}, "Refused: it is neither JPEG nor PNG"),
        "cmyk.jpg": ({}, "Refused: it is CMYK"),
    }
    for name, (options, why) in cases.items():
        image = photo.resize((450, 400)) if name == "large.jpg" else photo
        image.convert("CMYK" if name == "cmyk.jpg" else "RGB").save(tmp_path / name, **options)
        code, differs = coded(driver, tmp_path / name)
        if why.startswith("Refused"):
            assert code.startswith(why), name
        else:
            assert why in "".join(differs), name
            assert bool(why) == bool(differs), name
            assert len(code) == len(expected[0]), name
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:-300])
    assert coded(driver, tmp_path / "cut.jpg")[0].startswith("Refused: ")
    assert person.console() == []


#: The pixels of a file, made in the page itself: their sum, and what may differ; or why not.
PIXELS = """
const [content, done] = arguments;
const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
import(new URL("coding/web/picture.mjs", document.baseURI).href).then((part) =>
  part.pixelsOf(new Blob([bytes]), 8)).then(
  ({ pixels, differs }) => done([pixels.reduce((a, b) => a + b, 0), differs]),
  (error) => done([`${error.name}: ${error.message}`, []]),
);
"""
#: Has the browser decode otherwise: JPEG files, or all.
OTHER_PIXELS = """
const [all] = arguments, decode = window.createImageBitmap;
window.createImageBitmap = async (file) => {
  const bitmap = await decode(file);
  if (!all && file.type !== "image/jpeg") return bitmap;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), paint = canvas.getContext("2d");
  paint.drawImage(bitmap, 0, 0);
  paint.fillStyle = "#123456";
  paint.fillRect(0, 0, 1, 1);
  return canvas.transferToImageBitmap();
};
"""


@NPM
@pytest.mark.slow
def test_browser_that_decodes_otherwise(shared, serve, driver, visit, web_runtime, tmp_path):
    """It is told by a picture that comes with the module."""
    served = serve(shared.folder, "--encode-in-browser", "--web-runtime", str(web_runtime))
    files = [tmp_path / "a.jpg", tmp_path / "a.png"]
    for file, kind in zip(files, ("JPEG", "PNG"), strict=True):
        file.write_bytes(shared.body(180, 20, 0, kind=kind))
    found = []
    for everything in (False, True):
        person = looking(visit, served)
        person.js(OTHER_PIXELS, everything)
        for file in files:
            content = base64.b64encode(file.read_bytes()).decode()
            found.append(driver.execute_async_script(PIXELS, content))
    assert found[0][1] == ["this browser decodes JPEG in a way of its own"]
    assert found[1] == [int(decode(files[1], 8).sum()), []]
    refused = "Refused: this browser changes the pixels that a page reads"
    assert found[2:] == [[refused, []]] * 2


@NPM
@pytest.mark.slow
def test_search(shared, serve, driver, visit, web_runtime):
    """A picture is dropped: its neighbours come, and what left the machine is its code."""
    served = serve(shared.folder, "--encode-in-browser", "--web-runtime", str(web_runtime))
    person = looking(visit, served)
    assert person.text("#here") == "Pictures are coded in this browser, not sent"
    colour = (180, 20, 0)
    person.drop("mine.png", shared.body(*colour))
    person.sees(shared.nearest(*colour))
    assert person.text("#headline") == "10 neighbours of mine.png"
    assert person.text("#asked-note") == "Coded in this browser, not sent."
    assert f"code={shared.code_of(*colour)}&model=hand-made" in driver.current_url
    # Twelve pixels of a JPEG are less than four times eight; forty are not.
    person.drop("large.jpg", shared.body(0, 0, 230, kind="JPEG", size=(40, 41)))
    person.wait(lambda: person.text("#headline") == "10 neighbours of large.jpg")
    assert "it is a large JPEG, which only browsers decode in full" in person.text("#asked-note")
    driver.back()
    person.sees(shared.nearest(*colour))
    assert person.text("#asked-note") == "Coded in this browser, not sent."
    # The thread of the page has nothing to do with it: a worker loads encoder, runtime and probe.
    targets = driver.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
    workers = [each["url"] for each in targets if each["type"] == "worker"]
    assert workers.count(f"{served.url}/coding/web/worker.mjs") == 1  # older pages may have theirs
    loaded = person.js("return performance.getEntriesByType('resource').map(({ name }) => name)")
    assert f"{served.url}/coding/web/encoder.mjs" in loaded
    assert not [url for url in loaded if re.search(r"/coding/runtime/|/probe\.|/encoder$", url)]
    events = [json.loads(each["message"])["message"] for each in driver.get_log("performance")]
    asked = [
        each["params"]["request"]
        for each in events
        if each["method"] == "Network.requestWillBeSent"
        and each["params"]["request"]["url"].startswith("http")
    ]
    assert {"/".join(each["url"].split("/")[:3]) for each in asked} == {served.url}
    assert [each["url"] for each in asked if each.get("hasPostData") or each.get("postData")] == []
    searches = [each["url"] for each in asked if "/search?" in each["url"]]
    assert len(searches) >= 3
    assert all("code=" in url and "model_id=hand-made" in url for url in searches)
    assert person.console() == []

    # What is not coded here is sent only if that is asked for.
    person.drop("mine.webp", shared.body(0, 200, 0, kind="WEBP", lossless=True))
    person.wait(lambda: "mine.webp is not coded in the browser" in person.text("#message"))
    assert "It is neither JPEG nor PNG." in person.text("#message")
    assert person.asked() == []
    person.find("#message button").click()
    person.sees(shared.nearest(0, 200, 0))
    assert person.text("#headline") == "10 neighbours of mine.webp"
    assert person.text("#asked-note") == ""


@NPM
@pytest.mark.slow
def test_index_with_another_encoder(own, write_encoder, serve, driver, visit, web_runtime):
    """Its codes are not taken for those of the one before; the next picture is coded by it."""
    served = serve(own.folder, "--encode-in-browser", "--web-runtime", str(web_runtime))
    person = looking(visit, served)
    person.drop("mine.png", own.body(180, 20, 0))
    person.sees(own.nearest(180, 20, 0))
    other = Encoder.load(write_encoder(own.root / "other.onnx", "other"))
    shutil.rmtree(own.folder)
    index = PhotoIndex.open(own.folder, other)
    index.sync(other, [own.photos], labels=PhotoLabels("folders", [own.photos]))
    ask = "return fetch('about').then((answer) => answer.json()).then((said) => said.model_id)"
    person.wait(lambda: person.js(ask) == "other")
    person.drop("mine.png", own.body(0, 200, 0))
    person.wait(lambda: "The index has another encoder now" in person.text("#message"))
    person.drop("mine.png", own.body(0, 200, 0))
    person.sees(own.nearest(0, 200, 0))
    assert "model=other" in driver.current_url


@NPM
@pytest.mark.slow
def test_page_of_its_own(shared, driver, visit, web_runtime, tmp_path):
    """Laid out as docs/deploy.md says, it codes a file, and links to a search for the code."""
    shutil.copytree(CLIENTS / "web", tmp_path / "web")
    shutil.copy(CLIENTS / "prepare.mjs", tmp_path)
    shutil.copy(shared.root / "encoder.onnx", tmp_path / "web")
    (tmp_path / "dist").mkdir()
    for name in RUNTIME:
        shutil.copy(web_runtime / name, tmp_path / "dist")
    (tmp_path / "mine.png").write_bytes(shared.body(180, 20, 0))
    (tmp_path / "no.gif").write_bytes(shared.body(180, 20, 0, kind="GIF"))
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--directory", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = re.search(r"http://[\d.:]+", server.stdout.readline())[0]
        person = visit(f"{url}/web/?service=http://photos.example/search/")
        person.wait(lambda: person.text("#status") == "Model hand-made, codes of 24 bits")
        person.find("#file").send_keys(str(tmp_path / "mine.png"))
        code = shared.code_of(180, 20, 0)
        person.wait(lambda: person.text("#code") == code)
        link = person.find("#search").get_attribute("href")
        assert link == f"http://photos.example/search/?code={code}&model=hand-made"
        person.find("#file").send_keys(str(tmp_path / "no.gif"))
        person.wait(lambda: person.text("#note") == "Not coded: it is neither JPEG nor PNG.")
        assert not person.find("#search").is_displayed()
        assert {"/".join(each.split("/")[:3]) for each in person.asked() if each[:4] == "http"} == {
            url
        }
        assert person.console() == []
        driver.get(f"{url}/web/?encoder=none.onnx&service=javascript:alert(1)")
        person.wait(lambda: "cannot be loaded: the encoder does not come" in person.text("#status"))
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


COLOURS = ((180, 20, 0), (0, 200, 0))
#: Codes files at once.
BOTH = """
const [files, done] = arguments;
const blob = (content) => new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]);
encoderHere().then((encoder) =>
  Promise.all(files.map((content) => encoder.encode(blob(content))))).then(
  (found) => done(found.map(({ code, appearance }) => code + appearance)),
  (error) => done(error.message),
);
"""
#: Ends the encoder while it codes, and asks it once more.
CLOSED_ENCODER = """
const [files, done] = arguments;
const said = (promise) => promise.then(() => "coded", ({ message }) => message);
encoderHere().then((encoder) => {
  const file = new Blob([Uint8Array.from(atob(files[0]), (c) => c.charCodeAt(0))]);
  const before = said(encoder.encode(file));
  forgetEncoder();
  encoder.close();
  return Promise.all([before, said(encoder.encode(file))]);
}).then(done);
"""
NO_ENCODER = """
const [done] = arguments, address = (path) => new URL(path, document.baseURI).href;
import(address("coding/web/encoder.mjs")).then(({ loadEncoder }) =>
  loadEncoder("none.onnx", "coding/runtime/")).catch(({ message }) => done(message));
"""
CODES_FOR_EVER = """
const [done] = arguments;
encoderHere().then((encoder) => { encoder.encode = () => new Promise(() => {}); done(); });
"""


@NPM
@pytest.mark.slow
def test_while_it_codes(shared, serve, driver, visit, web_runtime):
    """Two pictures at once are coded one after another; what fails is told; one can be given up."""
    served = serve(shared.folder, "--encode-in-browser", "--web-runtime", str(web_runtime))
    person = looking(visit, served)
    files = [base64.b64encode(shared.body(*colour)).decode() for colour in COLOURS]
    assert driver.execute_async_script(BOTH, files) == [shared.code_of(*c) for c in COLOURS]
    closed = "the encoder is closed"
    assert driver.execute_async_script(CLOSED_ENCODER, files) == [closed, closed]
    failed = driver.execute_async_script(NO_ENCODER)
    assert failed == "the encoder does not come: status 404"
    person.drop("mine.png", shared.body(*COLOURS[0]))
    person.sees(shared.nearest(*COLOURS[0]))
    person.asked()
    # A press of `Cancel` is heard while a picture is coded, and what comes then is not shown.
    driver.execute_async_script(CODES_FOR_EVER)
    person.drop("mine.png", shared.body(*COLOURS[1]))
    person.wait(lambda: person.text("#progress-text") == "Coding mine.png …")
    person.find("#cancel").click()
    person.wait(lambda: not person.find("#progress").is_displayed())
    assert not any("/search?" in address for address in person.asked())
