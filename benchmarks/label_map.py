"""Times the map of `ssah label`: its layout, and each frame in a browser without a window.

    python benchmarks/label_map.py [--photos 50000] [--frames 200] [--layout 10000 50000]

A frame is script alone, on the real page: a step of panning or zooming, by events as a mouse makes
them; the point below the mouse, by a look at all; all points drawn, and the pictures of clusters
placed. Photos are made up: 100 clusters of points. `--layout` lists numbers of photos whose layout
is timed; without a number, none. Needs Debian's chromium and chromium-driver. A line of JSON for
each.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.data.label_round import Layout, Outcome, Progress
from ssah_tf.data.label_table import LabelTable

#: Classes that photos have a label of.
CLASSES = 20
#: Pans, zooms, and times each frame; gives milliseconds when all frames are done.
FRAMES = """
const [frames, done] = arguments, times = [];
const mouse = (kind, x, y) => plane.dispatchEvent(new PointerEvent(kind,
  { pointerId: 1, pointerType: "mouse", isPrimary: true, clientX: x, clientY: y, bubbles: true }));
plane.setPointerCapture = () => {};
plane.hasPointerCapture = () => true;
const box = plane.getBoundingClientRect();
const x = box.left + box.width / 2, y = box.top + box.height / 2;
const select = points((point) => point % 100 === 0);
for (const point of select) map.drawing.selected[point] = 1;
let frame = 0;
function step() {
  const began = performance.now(), part = frame % 20;
  if (frame % 40 < 20) {
    if (part === 0) mouse("pointerdown", x, y);
    mouse("pointermove", x + 3 * part, y + 2 * part + 5);
    if (part === 19) mouse("pointerup", x, y);
  } else {
    const wheel = { deltaY: frame % 80 < 40 ? -40 : 40, clientX: x, clientY: y, cancelable: true };
    plane.dispatchEvent(new WheelEvent("wheel", wheel));
  }
  map.drawing.nearest(box.width / 2, box.height / 2, NEAR);
  cancelAnimationFrame(map.frame);
  map.frame = 0;
  drawMap();
  times.push(performance.now() - began);
  if (++frame < frames) requestAnimationFrame(step); else done(times);
}
requestAnimationFrame(step);
"""


class StandIn:
    """Lays photos out at once."""

    def __init__(self, layout: Layout, labelling: Any):
        self.layout = layout
        self.labelling = labelling

    def begin(self, task: Any) -> None:
        """Give the map."""
        self.labelling.take(Outcome(None, layout=self.layout))

    def progress(self) -> Progress:
        """Nothing goes on."""
        return Progress()


def main() -> None:
    """Time layouts, then frames."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--labelled", type=int, default=2_000)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--layout", type=int, nargs="*", default=[10_000, 50_000])
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    for photos in given.layout:
        print(json.dumps({"layout": photos, **layout_time(photos, rng)}), flush=True)
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        sys.exit("frames: needs Debian's chromium and chromium-driver")
    with tempfile.TemporaryDirectory() as folder:
        times = frame_times(Path(folder), given.photos, given.labelled, given.frames, rng)
    line = {
        "photos": given.photos,
        "labelled": given.labelled,
        "frames": len(times),
        "median_ms": round(statistics.median(times), 2),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 2),
    }
    print(json.dumps(line), flush=True)


def layout_time(photos: int, rng: np.random.Generator) -> dict[str, float]:
    """Seconds that the layout of made-up points takes, and CPU seconds."""
    from ssah_tf.training.labelling.layout import layout_of

    points = rng.normal(size=(100, 64))[rng.integers(0, 100, photos)]
    points = (points + rng.normal(size=points.shape)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    digests = [f"{number:064x}" for number in range(photos)]
    began, worked = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        layout_of(points, points, digests, Path(folder) / "map.npz", make=True)
    seconds, worked = time.monotonic() - began, time.process_time() - worked
    return {"seconds": round(seconds, 1), "cpu": round(worked, 1)}


def frame_times(
    folder: Path, photos: int, labelled: int, frames: int, rng: np.random.Generator
) -> list[float]:
    """Milliseconds of script of each frame on the page of a real service."""
    from ssah_tf.serve.label_journal import Journal
    from ssah_tf.serve.labelling import Labelling

    cluster = rng.integers(0, 100, photos)
    places = np.clip(
        rng.uniform(0.1, 0.9, (100, 2))[cluster] + rng.normal(0, 0.02, (photos, 2)), 0, 1
    )
    examples = np.unique(cluster, return_index=True)[1]
    layout = Layout("made up", places.astype(np.float32), cluster, examples)
    rows = [f"{p}.jpg,class {cluster[p] % CLASSES}\n" for p in range(labelled)]
    (folder / "labels.csv").write_text("path,label\n" + "".join(rows))
    labelling = Labelling(
        folder,
        [f"{p}.jpg" for p in range(photos)],
        [f"{p:064x}" for p in range(photos)],
        LabelTable(folder / "labels.csv"),
        Journal(folder / "work"),
    )
    labelling.learner = StandIn(layout, labelling)
    labelling.draw_map()
    with served(labelling) as url, browser(folder) as driver:
        driver.set_script_timeout(300)
        driver.get(url)
        wait(lambda: driver.execute_script("return state !== null"))
        driver.find_element("id", "show-map").click()
        wait(lambda: driver.execute_script("return map.drawing !== null && map.revision >= 0"))
        return driver.execute_async_script(FRAMES, frames)


def wait(condition: Any) -> None:
    """Until it holds, a minute at most."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    sys.exit("the page does not come up")


@contextmanager
def served(labelling: Any) -> Iterator[str]:
    """A real service on a free port; its address."""
    import uvicorn

    from ssah_tf.cli.serve import listen
    from ssah_tf.serve.app import make_label_app
    from ssah_tf.serve.settings import Settings

    server = uvicorn.Server(
        uvicorn.Config(make_label_app(labelling, Settings(rate=0)), log_level="error")
    )
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browser(folder: Path) -> Iterator[Any]:
    """Headless Chromium, 1,280 by 1,000 px."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.binary_location = shutil.which("chromium") or ""
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
