"""An encoder whose codes can be worked out by hand, photos of one colour each, their index."""

import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import resources

import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from ssah_tf import Encoder
from ssah_tf.cli.serve import listen
from ssah_tf.data.decode import RULE
from ssah_tf.data.label_round import Outcome, Progress
from ssah_tf.data.label_table import LabelTable
from ssah_tf.search.duplicates import find_duplicates
from ssah_tf.search.labels import PhotoLabels
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.review.kept import KeptGroups
from ssah_tf.search.review.labels import IndexLabels
from ssah_tf.search.review.proposal import Rules
from ssah_tf.search.review.set_aside import SetAside
from ssah_tf.serve.app import make_app, make_label_app
from ssah_tf.serve.label_journal import Journal
from ssah_tf.serve.labelling import Labelling
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.review import Review
from ssah_tf.serve.settings import Settings

SIZE = 8
#: A code has a bit for each channel and threshold that the mean of the channel reaches, so two
#: colours differ in as many bits as there are thresholds between them.
THRESHOLDS = np.arange(16, 256, 32)  # 16, 48, ..., 240
#: Class -> colours of its photos.
COLOURS = {
    "red": [(0, 0, 0), (255, 0, 0), (200, 0, 0), (140, 0, 0)],
    "green": [(0, 255, 0), (0, 200, 0), (0, 140, 0)],
    "blue": [(0, 0, 255), (0, 0, 200), (0, 0, 140)],
}
#: Of photos without a label; they are indexed last.
UNLABELLED = [(190, 0, 0), (40, 40, 230), (0, 60, 160)]


@pytest.fixture(scope="session")
def write_encoder():
    """Writes an encoder whose codes can be worked out by hand: `write_encoder(path, model_id)`."""
    return write_onnx


def write_onnx(path, model_id="hand-made"):
    """An ONNX file: channel means of 8 px images against thresholds, packed to 24 bits."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name, value):
        return numpy_helper.from_array(np.asarray(value), name)

    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "sides"], ["means"], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "last"], ["column"]),
        helper.make_node("Sub", ["column", "thresholds"], ["above"]),
        helper.make_node("Reshape", ["above", "flat"], ["logits"]),
        helper.make_node("GreaterOrEqual", ["above", "zero"], ["reached"]),
        helper.make_node("Cast", ["reached"], ["bits"], to=TensorProto.INT32),
        helper.make_node("Mul", ["bits", "powers"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "last"], ["bytes"], keepdims=0),
        helper.make_node("Cast", ["bytes"], ["codes"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("codes", TensorProto.UINT8, ["n", 3]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 24]),
        ],
        [
            constant("sides", np.array([1, 2], np.int64)),
            constant("last", np.array([2], np.int64)),
            constant("thresholds", THRESHOLDS.astype(np.float32)),
            constant("flat", np.array([-1, 24], np.int64)),
            constant("zero", np.float32(0)),
            constant("powers", np.array([128, 64, 32, 16, 8, 4, 2, 1], np.int32)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = {"model_id": model_id, "bits": "24", "image_size": str(SIZE), "backbone": "none"}
    about |= {"recipe_hash": "none", "product_version": "0", "decode_rule": str(RULE)}
    helper.set_model_props(model, about)
    onnx.save(model, path)
    return path


def plain(*colour, size=(12, 12)):
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


class Index:
    """An index of photos of one colour each, and what is in it.

    Attributes:
        root: Holds all of it.
        photos: Folder of the photos.
        folder: The index.
        colours: Path of a photo, relative -> its colour, in the order of the index.
        encoder: The `Encoder`.
    """

    def __init__(self, root):
        self.root, self.photos, self.folder = root, root / "photos", root / "index"
        self.colours = write_photos(self.photos)
        self.encoder = Encoder.load(write_onnx(root / "encoder.onnx"))
        self.sync()

    def sync(self):
        """What `ssah index` does."""
        index = PhotoIndex.open(self.folder, self.encoder)
        labels = PhotoLabels("folders", [self.photos])
        index.sync(self.encoder, [self.photos], labels=labels)

    @staticmethod
    def code_of(*colour):
        """The code of a colour, hexadecimal, by hand."""
        bits = ("".join("1" if value >= t else "0" for t in THRESHOLDS) for value in colour)
        return bytes(int(eight, 2) for eight in bits).hex()

    def nearest(self, *colour, among=None):
        """(distance, path) of all photos, by hand: the thresholds between two colours count."""

        def far(other):
            pairs = zip(colour, other, strict=True)
            return sum(abs(sum(a >= THRESHOLDS) - sum(b >= THRESHOLDS)) for a, b in pairs)

        paths = [path for path in self.colours if among is None or path.startswith(among)]
        return sorted(((int(far(self.colours[p])), p) for p in paths), key=lambda pair: pair[0])

    @staticmethod
    def body(*colour, kind="PNG", size=(12, 12), **options):
        """The bytes of a picture of one colour."""
        stream = io.BytesIO()
        plain(*colour, size=size).save(stream, kind, **options)
        return stream.getvalue()


def write_photos(folder):
    """Class folders of photos; path -> colour in the order in which they are indexed."""
    for name, colours in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number, colour in enumerate(colours):
            plain(*colour).save(folder / name / f"{number}.png")
    order = sorted(COLOURS)
    return {f"{name}/{i}.png": c for name in order for i, c in enumerate(COLOURS[name])}


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """An index that no test changes."""
    return Index(tmp_path_factory.mktemp("serve"))


@pytest.fixture
def own(tmp_path):
    """An index of the test alone."""
    return Index(tmp_path)


@pytest.fixture
def with_unlabelled(own):
    """An index of the test alone with photos without a label, and one that is `blue sky`.

    `of_blue` has the code of blue: of its photos one reaches 8 thresholds, one 6 and one 4, so that
    two of three reach 6, as 200 does.
    """
    more = {"blue sky/0.png": (100, 180, 255)}
    more |= {f"unlabelled/{n}.png": c for n, c in zip("abc", UNLABELLED, strict=True)}
    for path, colour in more.items():
        (own.photos / path).parent.mkdir(exist_ok=True)
        plain(*colour).save(own.photos / path)
    own.colours |= more
    own.of_blue = (0, 0, 200)
    own.sync()
    return own


@pytest.fixture
def client():
    """Starts a service without a network: `client(index, **settings)`."""
    with contextlib.ExitStack() as stack:

        def start(index, **settings):
            live = stack.enter_context(LiveLibrary(index.folder))
            app = make_app(live, Settings(**settings))
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1"))

        yield start


class Served:
    """A real `ssah serve` on a free port."""

    def __init__(self, index, *options, environment=None):
        words = [
            sys.executable,
            "-m",
            "ssah_tf.cli",
            "serve",
            str(index),
            "--port",
            "0",
            *options,
        ]
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.url = ""
        while "search page: " not in self.url:
            self.url = self.process.stdout.readline()
            if not self.url:
                raise AssertionError(self.process.communicate()[1])
        self.url = self.url.split("search page: ")[1].split("/ ")[0]
        self.port = int(self.url.rpartition(":")[2])

    def stop(self, number=signal.SIGTERM):
        """Stop it; its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr


@pytest.fixture
def serve():
    """Starts services, and ends them."""
    running = []

    def start(index, *options, **more):
        running.append(Served(index, *options, **more))
        return running[-1]

    yield start
    for served in running:
        if served.process.poll() is None:
            served.process.kill()
            served.process.communicate()


#: Drops a file on the page: name, type, and content in base 64.
DROP = """
const [name, type, content] = arguments;
const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, { type }));
const how = { dataTransfer: data, clipboardData: data, bubbles: true, cancelable: true };
for (const kind of ["dragenter", "dragover", "drop"]) {
  document.body.dispatchEvent(new DragEvent(kind, how));
}
"""
PASTE = f"""
{DROP.partition("for (const")[0]}
document.body.dispatchEvent(new ClipboardEvent("paste", how));
"""


class Person:
    """Who uses the page."""

    def __init__(self, driver, url):
        self.driver, self.url = driver, url
        driver.set_window_size(1280, 900)
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(url)

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def text(self, css):
        return self.find(css).text

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def wait(self, condition, what=""):
        """Until something holds; what holds. The page may be exchanged meanwhile."""
        from selenium.common import NoSuchElementException, StaleElementReferenceException

        gone = (NoSuchElementException, StaleElementReferenceException)
        last = None
        for _ in range(200):
            with contextlib.suppress(*gone):
                if last := condition():
                    return last
            time.sleep(0.05)
        raise AssertionError(f"{what}: {self.js('return document.body.innerText')}")

    def tiles(self):
        """What the tiles say: distance and path."""
        return self.js(
            "return [...document.querySelectorAll('.tile[href]')].map((tile) =>"
            " [tile.querySelector('.far')?.title ?? '', tile.querySelector('.file').title])"
        )

    def sees(self, expected):
        """The tiles become these: (distance, path), in this order for each distance."""
        lines = [["1 bit" if d == 1 else f"{d} bits", path] for d, path in expected]
        self.wait(lambda: self.tiles() == lines, lines)

    def drop(self, name, content, script=DROP):
        self.js(script, name, "image/png", base64.b64encode(content).decode())

    def paste(self, name, content):
        self.drop(name, content, PASTE)

    def console(self):
        """What the page said; how axe looks at colours is not its doing."""
        said = self.driver.get_log("browser")
        return [entry["message"] for entry in said if entry["source"] != "rendering"]

    def asked(self):
        """Addresses that were asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
            and not e["params"]["request"]["url"].startswith("chrome:")  # the browser's own
        ]


@pytest.fixture
def visit(driver):
    """Opens a page as a person does: `visit(url)`; afterwards the screen is as it was."""
    yield lambda url: Person(driver, url)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


class Duplicated:
    """An index of photos of which some are there more than once.

    Attributes:
        root: Holds all of it; photos are set aside in `root/aside`.
        photos: Folder of the photos: three of one scene in `may`, one of them small and one a copy,
            two of another in `june`, with side files, and one alone.
        place: The index, by default a folder.
        labels: Name of a photo -> its labels.
    """

    bits, appearance_bits, image_size, model_id = 8, 0, 64, "abc"

    def __init__(self, root, place=None):
        self.root, self.photos, self.aside = root, root / "photos", root / "aside"
        self.place, self.path = place or str(root / "index"), root / "fake.onnx"
        self.path.write_bytes(b"fake")
        self.labels = {"may/small.jpg": ("sea",), "june/b copy.jpg": ("dog", "cat")}
        for folder in ("may", "june"):
            (self.photos / folder).mkdir(parents=True)
        self.scene(1, 400).save(self.photos / "may" / "a.jpg", quality=95)
        self.scene(1, 200).save(self.photos / "may" / "small.jpg", quality=80)
        self.scene(2, 300).save(self.photos / "june" / "b.jpg", quality=90)
        self.scene(3, 300).save(self.photos / "june" / "alone.jpg", quality=90)
        for new, old in (("may/a copy.jpg", "may/a.jpg"), ("june/b copy.jpg", "june/b.jpg")):
            (self.photos / new).write_bytes((self.photos / old).read_bytes())
        for name in ("june/b copy.xmp", "june/b copy.mov", "may/small.jpg.xmp"):
            (self.photos / name).write_text(name)
        for number, name in enumerate(sorted(self.names())):
            os.utime(self.photos / name, ns=(number * 10**15, number * 10**15))
        given = {str(self.photos / name): labels for name, labels in self.labels.items()}
        self.sync(labels=lambda paths: given)

    @staticmethod
    def scene(seed, side):
        """A smooth picture, as photos are."""
        small = np.random.default_rng(seed).integers(0, 250, (9, 9, 3), dtype=np.uint8)
        large = Image.fromarray(small).resize((400, 400), Image.Resampling.BICUBIC)
        return large.resize((side, 3 * side // 4))

    def full_codes(self, images):
        return np.zeros((len(images), 1), np.uint8)

    def sync(self, labels=None):
        """What `ssah index` does."""
        with PhotoIndex.open(self.place, self) as index:
            index.sync(self, [self.photos], labels=labels)

    def names(self, folder=None):
        """Names of all files, of the photos or of what is set aside; no journal, no lock."""
        folder = folder or self.photos
        files = (path for path in folder.rglob("*") if path.is_file())
        names = sorted(str(path.relative_to(folder)) for path in files)
        return [name for name in names if name not in ("set_aside.jsonl", ".lock")]

    def labelled(self):
        """Name -> labels, of the photos in the index that have some."""
        with PhotoIndex.open(self.place) as index:
            rows = [*index.photos.in_memory().values()]
            rows += [one.photo for one in index.missing.rows.values()]
        inside = f"{self.photos}/"
        return {p.path.removeprefix(inside): p.labels for p in rows if p.labels}

    def review(self, set_aside=True, **rules):
        """A `Review` of it."""
        labels = IndexLabels(self.place)
        with PhotoIndex.open(self.place) as index:
            groups, roots = find_duplicates(index, 1).groups, index.roots
        aside = SetAside(self.aside, labels) if set_aside else None
        kept = KeptGroups(self.root / "work")
        return Review(groups, roots, labels, kept, aside, Rules(**rules))


@pytest.fixture
def duplicated_at(tmp_path):
    """The same at an address: `duplicated_at(place)`."""
    return lambda place: Duplicated(tmp_path, place)


@pytest.fixture
def duplicated(tmp_path):
    """An index with duplicates, of the test alone."""
    return Duplicated(tmp_path)


#: Photos of a group, and of a suggestion of labelling.
GROUP, COUNT = 3, 36
MEASURED = {
    "labelled": 30, "classes": 3, "queries": 10, "map": 0.75, "low": 0.6, "high": 0.9,
    "weak": [{"name": "cat", "map": 0.25, "queries": 4}], "changed": None, "seconds": 1.0,
}  # fmt: skip


class StandInLearner:
    """Suggests the first photos of which nothing was said; takes a moment."""

    def __init__(self, labelling):
        self.labelling = labelling
        self.now = Progress()
        self.rounds = 0

    def begin(self, task):
        self.now = Progress("training", 1, 4)
        threading.Thread(target=self.work, args=(task,), daemon=True).start()

    def work(self, task):
        time.sleep(0.5)
        self.rounds += task.train
        taken = {*task.labels, *task.passed}
        left = [p for p in range(len(self.labelling)) if p not in taken][:COUNT]
        groups = [left[i : i + GROUP] for i in range(0, len(left), GROUP)]
        measured = {**MEASURED, "map": 0.5 + 0.1 * self.rounds, "changed": 7}
        names = sorted({name for labels in task.labels.values() for name in labels})
        believed = {
            name: [(p, (99.5 - p) / 100) for p in left[i :: len(names)]]
            for i, name in enumerate(names)
        }
        self.labelling.take(Outcome(groups, measured if task.train else None, believed))
        self.now = Progress()

    def progress(self):
        return self.now


@pytest.fixture
def served_labels(tmp_path):
    """A real service of labelling, of 80 photos: its address, and the `Labelling`."""
    (tmp_path / "photos").mkdir()
    paths = [f"{number:02d}.png" for number in range(80)]
    for number, path in enumerate(paths):
        Image.new("RGB", (200, 150), (3 * number, 90, 200)).save(tmp_path / "photos" / path)
    labelling = Labelling(
        tmp_path / "photos",
        paths,
        [f"{number:064x}" for number in range(80)],
        LabelTable(tmp_path / "labels.csv"),
        Journal(tmp_path / "work"),
    )
    labelling.learner = StandInLearner(labelling)
    labelling.learn(train=False)
    app = make_label_app(labelling, Settings(rate=0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", labelling
        server.should_exit = True
        thread.join()


#: Asks axe-core what keeps people from the page as it is.
AXE = """
const done = arguments[0], rules = { "label-content-name-mismatch": { enabled: true } };
axe.run(document, { rules }).then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])
).catch(String).then(done);
"""


@pytest.fixture
def violations(driver):
    """Gives what axe-core has against the page as it is, in the light and in the dark."""
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text()

    def found():
        rules = []
        for mode in ("light", "dark"):
            wanted = {"prefers-color-scheme": mode, "prefers-reduced-motion": "reduce"}
            features = [{"name": name, "value": value} for name, value in wanted.items()]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            driver.execute_script(axe)
            rules += driver.execute_async_script(AXE)
        return rules

    return found


class Idle:
    """A learner that only keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def begin(self, task):
        self.asked.append(task)

    def progress(self):
        return Progress()


@pytest.fixture
def idle():
    """See `Idle`."""
    return Idle()
