"""Times `ssah index` beside the encoder that it runs, on 50,000 photos.

    python benchmarks/index_speed.py [--photos 50000] [--backbone resnet20] [--size 32] [--rounds 3]

JPEG files of 640 x 480 (500 different ones, linked under many names) and an encoder whose weights
are not trained: speed does not depend on them. In turns, each in a process of its own: the whole
command, from its start to the saved index; `Encoder.encode` on the same paths, loading not counted.
Then a second `ssah index`, which finds nothing new, and `ssah search`. The best of the rounds;
processor time, too, which other work on the machine disturbs less. One line of JSON at the end.
Run it on an idle machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENCODE = """
import sys, time
from ssah_tf import Encoder
from ssah_tf.encoding.encode import find_images
encoder, paths = Encoder.load(sys.argv[1]), find_images(sys.argv[2:]).paths
began, used = time.perf_counter(), time.process_time()
encoder.encode(paths)
print(time.perf_counter() - began, time.process_time() - used)
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.photos, given.backbone, given.size)
        result = measure(Path(folder), given.photos, given.rounds)
    result = {"photos": given.photos, "backbone": given.backbone, "size": given.size} | result
    for name, value in result.items():
        print(f"{name:<44} {value}")
    print(json.dumps(result))


def make(folder: Path, count: int, backbone: str, size: int) -> None:
    """Photos and an encoder."""
    from input_pipeline import make_photos
    from untrained_encoder import write_encoder

    base = sorted(make_photos(folder / "base").rglob("*.jpg"))
    write_encoder(folder, backbone, size, 48)
    for number in range(count):
        place = folder / "photos" / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(base[number % len(base)], place / f"{number:06d}.jpg")


def measure(folder: Path, count: int, rounds: int) -> dict:
    """Photos a second of both, and how long the later commands take."""
    encoder, photos = folder / "encoder.onnx", folder / "photos"
    ssah = [sys.executable, "-m", "ssah_tf.cli"]
    best = {}
    for number in range(rounds):
        index = folder / f"index-{number}"
        wall, used, _ = timed([*ssah, "index", encoder, photos, "--output", index])
        keep(best, "ssah index", wall, used)
        _, _, out = timed([sys.executable, "-c", ENCODE, encoder, photos])
        keep(best, "Encoder.encode", *map(float, out.split()))
        wall, used, _ = timed([*ssah, "index", encoder, photos, "--output", index])
        keep(best, "ssah index, nothing new", wall, used)
        query = photos / "000" / "000007.jpg"
        wall, used, _ = timed([*ssah, "search", index, query])
        keep(best, "ssah search", wall, used)
    (wall, used), (alone, alone_used) = best["ssah index"], best["Encoder.encode"]
    return {
        "ssah index, photos/s": round(count / wall),
        "Encoder.encode, photos/s": round(count / alone),
        "ratio": round(alone / wall, 3),
        "ssah index, photos per s of processor": round(count / used),
        "Encoder.encode, photos per s of processor": round(count / alone_used),
        "ratio by processor": round(alone_used / used, 3),
        "ssah index, nothing new, s": round(best["ssah index, nothing new"][0], 2),
        "ssah search, s": round(best["ssah search"][0], 2),
        "ssah search, s of processor": round(best["ssah search"][1], 2),
    }


def timed(command: list) -> tuple[float, float, str]:
    """Seconds that a command takes, by the clock and of processor, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used, done.stdout


def keep(best: dict, name: str, wall: float, used: float) -> None:
    """Keep the smaller of what was and what is."""
    before = best.get(name, (float("inf"), float("inf")))
    best[name] = min(before[0], wall), min(before[1], used)


if __name__ == "__main__":
    main()
