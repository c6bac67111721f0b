"""Codes photos of 12 megapixels in Chromium, beside Python: the time, and the bits that differ.

    python benchmarks/browser_speed.py EXPORT PHOTOS RUNTIME [--count 100]

EXPORT is a folder of `ssah export`, or its `encoder.onnx`; PHOTOS a folder of photos; RUNTIME the
folder `dist` of the npm package onnxruntime-web. The large photos are made of those: one after
another a photo at 4,000 x 3,000 with the grain of a sensor, and a mosaic of as many photos as go
into that size. They are JPEG files, which Python decodes at a fraction and a browser in full.

The module is that of `export/clients/web/`, its encoder is loaded before. The time is that of
decoding, resizing and coding; the median counts. Beside it stands the time of the processor, which
on an idle machine is about the same. The bits are counted in the codes, and, for comparison, in
those that Python makes of the fully decoded photo without its mean over blocks. One line of JSON at
the end. Needs chromium and chromium-driver.
"""

import argparse
import base64
import functools
import http.server
import io
import json
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver

from ssah_tf import Encoder
from ssah_tf.export.web import files_of_coding
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.training.machine import machine

WIDTH, HEIGHT = 4000, 3000
#: Loads the encoder; then, photo by photo, takes a file, and codes it.
LOAD = """
const done = arguments[0];
import("./encoder.mjs").then(async ({ loadEncoder }) => {
  window.encoder = await loadEncoder("encoder.onnx", "../runtime/");
}).then(() => done(""), (error) => done(error.message));
"""
PUT = "window.file = new Blob([Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0))]);"
CODE = """
const done = arguments[0];
const began = performance.now();
window.encoder.encode(window.file).then(
  ({ code }) => done([code, (performance.now() - began) / 1000]),
  (error) => done([error.message, 0]));
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("runtime", type=Path)
    parser.add_argument("--count", type=int, default=100)
    given = parser.parse_args()
    encoder = Encoder.load(given.export)
    paths = sorted(
        path for path in given.photos.rglob("*") if path.suffix.lower() in {".jpg", ".png"}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_page(Path(folder), encoder.path, given.runtime)
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver = browser(Path(folder))
        try:
            driver.get(f"http://127.0.0.1:{server.server_port}/web/blank.html")
            if failed := driver.execute_async_script(LOAD):
                raise SystemExit(failed)
            result = measure(driver, encoder, paths, given.count)
        finally:
            driver.quit()
            server.shutdown()
    print(json.dumps({"machine": machine(), "size": encoder.image_size, **result}))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Sends files, and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def write_page(folder: Path, encoder: Path, runtime: Path) -> None:
    """Lay out what a page loads."""
    for name, content in files_of_coding(runtime).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    shutil.copyfile(encoder, folder / "web" / "encoder.onnx")
    (folder / "web" / "blank.html").write_text("<!doctype html><title>-</title>")


def browser(folder: Path) -> webdriver.Chrome:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'me'}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(600)
    driver.execute_cdp_cmd("Performance.enable", {})
    return driver


def measure(driver: webdriver.Chrome, encoder: Encoder, paths: list[Path], count: int) -> dict:
    """Code large photos in the browser and in Python."""
    rng, width = np.random.default_rng(0), code_bytes(encoder.bits)
    seconds, processor, apart, whole = [], [], [], []
    for number in range(count):
        file = mosaic(paths, rng) if number % 2 else enlarged(paths, rng)
        driver.execute_script(PUT, base64.b64encode(file).decode())
        began = processor_time(driver)
        code, took = driver.execute_async_script(CODE)
        processor.append(processor_time(driver) - began)
        with Image.open(io.BytesIO(file)) as image:
            expected, full = encoder.encode([file, image.convert("RGB")])
        found = np.frombuffer(bytes.fromhex(code), np.uint8)[:width]
        seconds.append(took)
        apart.append(int(np.bitwise_count(found ^ expected).sum()))
        whole.append(int(np.bitwise_count(full ^ expected).sum()))
        spent = f"{took:.2f} s, of the processor {processor[-1]:.2f} s"
        print(f"{number}: {spent}; {apart[-1]} and {whole[-1]} bits", flush=True)
    return {
        "photos": count,
        "seconds, median": round(float(np.median(seconds)), 2),
        "seconds, least": round(min(seconds), 2),
        "seconds of the processor, median": round(float(np.median(processor)), 2),
        "bits": count * encoder.bits,
        "bits that differ": sum(apart),
        "photos with such": sum(bits > 0 for bits in apart),
        "bits that differ without the mean": sum(whole),
    }


def processor_time(driver: webdriver.Chrome) -> float:
    """Seconds that the process of the page has computed so far, in all its threads."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "ProcessTime")


def enlarged(paths: list[Path], rng: np.random.Generator) -> bytes:
    """A photo with grain."""
    with Image.open(paths[rng.integers(len(paths))]) as image:
        large = image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1)).astype(np.int16)
    return jpeg(Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)))


def mosaic(paths: list[Path], rng: np.random.Generator) -> bytes:
    """Photos beside each other, 250 px each."""
    large = Image.new("RGB", (WIDTH, HEIGHT))
    for top in range(0, HEIGHT, 250):
        for left in range(0, WIDTH, 250):
            with Image.open(paths[rng.integers(len(paths))]) as image:
                large.paste(image.convert("RGB").resize((250, 250)), (left, top))
    return jpeg(large)


def jpeg(image: Image.Image) -> bytes:
    """A JPEG file of quality 90, colours at half the size."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
