"""Times how commands begin: help, a search of one photo, the service until it answers.

    python benchmarks/start_speed.py [--photos 100000] [--rounds 5] [--imports search]

An index of made-up photos with codes of 64 bits around a thousand centres, and `resnet20` at 32 px,
not trained: neither matters for the start. Each command runs with an empty folder of compiled
modules, as in an environment that was just made, then with what the first run left there; in
seconds by the clock and of processor, the middle of the rounds. Then the packages that one of the
commands imports, by `-X importtime`: the least of three runs, in milliseconds, without what they
import themselves. One line of JSON at the end. Run it on an idle machine.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

SSAH = (sys.executable, "-m", "ssah_tf.cli")
#: Packages that are listed.
LARGEST = 12
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--imports", default="search", choices=("help", "search", "serve"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.photos)
        result = {"photos": given.photos, "rows": measure(Path(folder), given.rounds)}
        result["imports, ms"] = imports(starts(Path(folder))[given.imports])
    print(f"{'command':<10} {'first, s':>9} {'CPU, s':>7} {'later, s':>9} {'CPU, s':>7}")
    for name, row in result["rows"].items():
        first, later = row["first"], row["later"]
        print(f"{name:<10} {first[0]:>9.2f} {first[1]:>7.2f} {later[0]:>9.2f} {later[1]:>7.2f}")
    print(f"imports of {given.imports}, ms")
    for name, took in result["imports, ms"].items():
        print(f"  {name:<20} {took:>6}")
    print(json.dumps(result))


def make(folder: Path, count: int) -> None:
    """An index, and a photo to search with; in a process of its own, since TensorFlow is large."""
    code = "import sys; from start_speed import fill_index; fill_index(*sys.argv[1:])"
    words = [sys.executable, "-c", code, str(folder), str(count)]
    done = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def fill_index(folder: str, count: str) -> None:
    """See `make`."""
    import numpy as np
    from PIL import Image
    from search_command import fill, made_up_photos
    from untrained_encoder import write_encoder

    from ssah_tf import Encoder

    rng, photos = np.random.default_rng(0), int(count)
    pixels = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(f"{folder}/photo.jpg")
    encoder = Encoder.load(write_encoder(Path(folder)))
    centres = rng.integers(0, 2, (1000, encoder.bits), dtype=np.uint8)
    turned = rng.random((photos, encoder.bits)) < 0.05
    codes = np.packbits(centres[rng.integers(1000, size=photos)] ^ turned, axis=1)
    fill(f"{folder}/index", encoder, codes, made_up_photos(photos))


def starts(folder: Path) -> dict[str, Callable]:
    """What begins each command, with options of Python and an environment; gives its stderr."""
    index, photo = str(folder / "index"), str(folder / "photo.jpg")

    def run(*words: str) -> Callable:
        def begin(options=(), environment=None) -> str:
            command = [sys.executable, *options, *SSAH[1:], *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            return done.stderr

        return begin

    def serve(options=(), environment=None) -> str:
        command = [sys.executable, *options, *SSAH[1:], "serve", index, "--port", "0"]
        with tempfile.TemporaryFile("w+") as told:  # a pipe that nobody reads would fill
            service = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=told, text=True
            )
            try:
                for line in service.stdout:
                    if address := re.search(r"http://\S+", line):
                        urllib.request.urlopen(f"{address[0]}healthz").read()
                        break
            finally:
                service.terminate()
                service.communicate()
            told.seek(0)
            return told.read()

    return {"help": run("--help"), "search": run("search", index, photo), "serve": serve}


def measure(folder: Path, rounds: int) -> dict[str, dict]:
    """Seconds by the clock and of processor of each command: first, and later."""
    rows: dict[str, dict[str, list]] = {}
    for _ in range(rounds):
        for name, begin in starts(folder).items():
            with tempfile.TemporaryDirectory() as compiled:
                environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
                environment.pop("PYTHONDONTWRITEBYTECODE", None)
                for when in ("first", "later"):
                    took = timed(lambda begin=begin, env=environment: begin(environment=env))
                    rows.setdefault(name, {}).setdefault(when, []).append(took)
    return {
        name: {when: [round(median(each), 3) for each in zip(*took, strict=True)]
               for when, took in row.items()}
        for name, row in rows.items()
    }  # fmt: skip


def timed(work: Callable) -> tuple[float, float]:
    """Seconds of some processes, by the clock and of processor."""
    before, began = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, os.times()
    return wall, after[2] + after[3] - before[2] - before[3]


def imports(begin: Callable) -> dict[str, int]:
    """Milliseconds of the packages that a command imports, the largest first."""
    least: dict[str, int] = {}
    for _ in range(3):
        for took, name in IMPORT.findall(begin(("-X", "importtime"))):
            least[name] = min(int(took), least.get(name, int(took)))
    packages: Counter[str] = Counter()
    for name, took in least.items():
        packages[name.split(".")[0]] += took
    return {name: round(took / 1000) for name, took in packages.most_common(LARGEST)}


if __name__ == "__main__":
    main()
