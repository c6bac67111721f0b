"""What `ssah index` spends on photos of 12 megapixels: decoding, network, digest, hash, the rest.

    python benchmarks/index_parts.py [--photos 2000] [--size 224] [--backbone efficientnet_lite0]

Photos of 4000 x 3000 (24 different ones, linked under many names) and an encoder that is not
trained. The parts are run alone on some of the photos, each in one thread, or for the network in as
many as it takes, before and after the command: processor time, the middle. Of the command that of
its start is taken away, which is a second call that finds nothing new. The ratio is that of the
command to the sum of its parts: 1 if it did nothing else; by processor time, and by the clock on
all cores. Peak memory is that of the process. One line of JSON at the end. Run it on an idle
machine: only the ratio by processor time is of use beside other work.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from untrained_encoder import write_encoder

from ssah_tf import Encoder
from ssah_tf.data.decode import decode
from ssah_tf.data.perceptual_hash import perceptual_hash
from ssah_tf.system.parallel import cores

#: Different photos; photos that the parts are run on.
DIFFERENT, TRIED = 24, 64

#: A small process that runs a command: a child's peak memory counts that of its parent, too.
WATCH = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), given)
    for name, value in result.items():
        print(f"{name:<40} {value}")
    print(json.dumps(result))


def measure(folder: Path, given: argparse.Namespace) -> dict:
    """What the command and each of its parts take."""
    encoder = write_encoder(folder, given.backbone, given.size)
    paths = make_photos(folder, given.photos)
    work = parts(Encoder.load(encoder), paths[:TRIED], given.size)
    took: dict[str, list[float]] = {name: [] for name in work}

    def run_parts() -> None:
        for name, one in work.items():
            began = time.process_time()
            one()
            took[name].append((time.process_time() - began) / min(TRIED, given.photos))

    run_parts()
    words = [sys.executable, "-m", "ssah_tf.cli", "index", encoder, folder / "photos"]
    words += ["--output", folder / "index"]
    wall, used, peak = command(words)
    start_wall, start_used, _ = command(words)
    run_parts()
    each = {name: median(seconds) for name, seconds in took.items()}
    alone = sum(each.values()) * given.photos
    used, wall = used - start_used, wall - start_wall
    shares = {f"{name}, of the sum": round(s / sum(each.values()), 3) for name, s in each.items()}
    return {
        "photos": given.photos,
        "size": given.size,
        "backbone": given.backbone,
        **{f"{name}, ms of processor": round(1000 * s, 2) for name, s in each.items()},
        **shares,
        "start, s of processor": round(start_used, 2),
        "command, ms of processor a photo": round(1000 * used / given.photos, 2),
        "command / parts, processor": round(used / alone, 3),
        "command / parts, clock": round(wall * cores() / alone, 3),
        "peak memory, MB": peak,
    }


def make_photos(folder: Path, count: int) -> list[str]:
    """JPEG files of 4000 x 3000 with structure from 3 to 375 pixels, each under many names."""
    rng = np.random.default_rng(0)
    base = []
    for number in range(min(DIFFERENT, count)):
        pixels = np.zeros((3000, 4000, 3), np.float32)
        for cell, share in ((375, 0.5), (50, 0.3), (3, 0.2)):
            small = rng.integers(0, 256, (3000 // cell, 4000 // cell, 3), dtype=np.uint8)
            large = Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC)
            pixels += share * np.asarray(large, np.float32)
        base.append(folder / f"{number}.jpg")
        Image.fromarray(pixels.astype(np.uint8)).save(base[-1], quality=90)
    (folder / "photos").mkdir()
    paths = [folder / "photos" / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        os.link(base[number % len(base)], path)
    return list(map(str, paths))


def parts(encoder: Encoder, paths: list[str], size: int) -> dict[str, Callable]:
    """The parts of the work on some photos, by name."""
    contents = [Path(path).read_bytes() for path in paths]
    pixels = np.stack([decode(content, size) for content in contents])
    return {
        "decoding": lambda: [decode(content, size) for content in contents],
        "network": lambda: encoder.full_codes(pixels),
        "digest": lambda: [sha256(content).digest() for content in contents],
        "hash": lambda: [perceptual_hash(one) for one in pixels],
    }


def command(words: list) -> tuple[float, float, int]:
    """Seconds of a command by the clock and of processor, and its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    wall, used, peak = done.stdout.split()
    return float(wall), float(used), int(peak) // 1024


if __name__ == "__main__":
    main()
