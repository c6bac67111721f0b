"""What a set of photos of some size costs: time to encode, memory, disk, time of a search.

    python benchmarks/cost_model.py              # the tables of the docs, from stored figures
    python benchmarks/cost_model.py --measure    # measures on this machine, checks and stores them

All costs are lines, `fixed + each * count`, through measurements at two sizes. Each line is then
checked at other sizes, up to ten times beyond, and what it predicted stands beside what was
measured. Figures, checks, machine and date are kept in `cost_model.json` beside this file.

- Times are CPU seconds, the least of several rounds, which other programs on the machine change
  little. Work that runs on many cores takes that time divided by their number, if they have nothing
  else to do.
- Encoding: `ssah encode` to a folder of shards, JPEG files of 224 px, `resnet20` at 32 px. Storage
  is taken to keep up: it has to deliver so many photos a second.
- A search compares the query with each *distinct* code, on one core; queries that come together use
  all. 64 bits, 20 neighbours. Random codes are all distinct: the worst case. Collapsed codes stand
  for learned ones: ten centres, each bit turned with a chance of 1 %. How many of n are distinct,
  on average: the sum over j of 10 C(64, j) (1 - (1 - .01^j .99^(64-j))^(n/10)). The lines are those
  of sets too large for the processor's cache; the codes of a million fit, and are quicker.
- Memory is what the process of a search has more than before it opened the index, at its peak.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

STORED = Path(__file__).with_suffix(".json")
BITS, K = 64, 20
CENTRES, CHANCE = 10, 0.01
#: Sizes through which lines are laid, and at which they are checked.
CODES, CODES_CHECKED = (2_000_000, 5_000_000), (1_000_000, 10_000_000)
IMAGES, IMAGES_CHECKED = (500, 2_500), (2_000, 20_000)
PHOTOS, PHOTOS_CHECKED = (50_000, 150_000), (500_000,)
#: Sizes of the table.
SETS = (50_000, 1_000_000, 10_000_000, 100_000_000)


def main() -> None:
    """Print the tables, measured anew if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.search:
        print(json.dumps(search_once(given.search)))
        return
    if given.table:
        print(json.dumps(read_table(Path(given.table[0]), given.table[1])))
        return
    if given.measure:
        STORED.write_text(json.dumps(measure(), indent=1) + "\n")
    print("\n\n".join(tables(json.loads(STORED.read_bytes()))))


def measure() -> dict:
    """Lines and their checks."""
    from ssah_tf.training.machine import machine

    lines, checks = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for work, small, large in (
            (encoding, IMAGES, IMAGES_CHECKED),
            (table_of_photos, PHOTOS, PHOTOS_CHECKED),
            (searching, CODES, CODES_CHECKED),
        ):
            found = {count: work(Path(folder), count) for count in (*small, *large)}
            for name in found[small[0]]:
                lines[name] = line_through([found[count][name] for count in small])
                for count in large:
                    x, measured = found[count][name]
                    checks.append([name, count, predict(lines[name], x), measured])
    about = {"machine": machine(), "date": date.today().isoformat()}
    return {**about, "lines": lines, "checks": checks}


def line_through(points) -> dict[str, float]:
    """The line through two points (x, y), nowhere below 0."""
    (x0, y0), (x1, y1) = points
    each = (y1 - y0) / (x1 - x0)
    return {"fixed": max(0.0, y0 - each * x0), "each": each}


def predict(line: dict[str, float], x: float) -> float:
    """What a line says of x."""
    return line["fixed"] + line["each"] * x


def encoding(folder: Path, count: int) -> dict:
    """CPU seconds and bytes of `ssah encode`."""
    from encode_engines import encode_command, make_encoder, make_photos

    encoder = folder / "encoder.onnx"
    if not encoder.is_file():
        make_encoder(folder)
    photos, output = make_photos(folder / f"photos-{count}", count), folder / f"codes-{count}"
    command = encode_command(encoder, photos, output)
    before = cpu_of_children()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = cpu_of_children() - before
    return {"encode, CPU s": (count, seconds)}


def cpu_of_children() -> float:
    """CPU seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table_of_photos(folder: Path, count: int) -> dict:
    """Bytes of shards and of the table of photos of an index; paths of 40 characters."""
    from ssah_tf.encoding.record_file import write_records
    from ssah_tf.encoding.records import Records, as_rows
    from ssah_tf.encoding.shards import SHARD
    from ssah_tf.search.photo_table import Photo, PhotoTable

    rng = np.random.default_rng(0)

    def photo(number: int) -> Photo:
        path = f"/photos/2026/{number // 10_000:08d}/{number:014d}.jpg"
        size, mtime_ns = (int(rng.integers(10**n, 2 * 10**n)) for n in (6, 18))
        return Photo(path, rng.bytes(32).hex(), size, mtime_ns, perceptual_hash=rng.bytes(16))

    photos = [photo(number) for number in range(count)]
    file, written = folder / f"{count}.parquet", 0
    PhotoTable.of(dict(enumerate(photos))).write(file)
    for start in range(0, count, SHARD):
        part, one = photos[start : start + SHARD], folder / "shard.parquet"
        columns = Records(
            "cost",
            BITS,
            [p.path for p in part],
            rng.integers(0, 256, (len(part), BITS // 8), dtype=np.uint8),
            as_rows([bytes.fromhex(p.digest) for p in part], 32),
            np.array([p.size for p in part]),
            np.array([p.mtime_ns for p in part]),
            as_rows([p.perceptual_hash for p in part], 16),
            {},
        )
        write_records(one, columns)
        written += one.stat().st_size
    found = {
        "shards: disk, bytes": (count, written),
        "photos: disk, bytes": (count, file.stat().st_size),
    }
    for name, what in (("searched", "read"), ("indexed", "in_memory")):
        taken = in_child("--table", file, what)
        found[f"photos, {name}: memory, bytes"] = (count, taken["memory"])
    return found


def in_child(*words) -> dict:
    """What this script says in a process of its own, whose memory nothing else has touched."""
    command, alone = [sys.executable, __file__, *words], {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, env=os.environ | alone)
    return json.loads(done.stdout)


def read_table(file: Path, what: str) -> dict:
    """In a process of its own: memory of a table, and of all its photos as objects."""
    from ssah_tf.search.photo_table import PhotoTable

    PhotoTable.of({})  # what libraries take is not counted
    before = peak()
    table = PhotoTable.read(file)
    photos = table.in_memory() if what == "in_memory" else table
    return {"memory": peak() - before, "photos": len(photos)}


def searching(folder: Path, count: int) -> dict:
    """CPU seconds of a query, bytes of memory and disk, of random and of collapsed codes."""
    from ssah_tf.search import CodeIndex

    found = {}
    for kind, distinct in (("random", count), ("collapsed", distinct_codes(count))):
        index = CodeIndex(BITS, "cost")
        index.add(np.arange(count), some_codes(kind, count))
        place = folder / f"{kind}-{count}"
        index.save(place)
        disk = sum(path.stat().st_size for path in place.iterdir())
        del index
        answer = in_child("--search", place)
        found[f"{kind}: query, CPU s"] = (distinct, answer["single"])
        found[f"{kind}: one of 200 queries, CPU s"] = (distinct, answer["together"])
        found[f"{kind}: memory, bytes"] = (count, answer["memory"])
        found[f"{kind}: disk, bytes"] = (count, disk)
    return found


def some_codes(kind: str, count: int) -> np.ndarray:
    """Packed codes, made a few at a time."""
    rng, parts = np.random.default_rng(0), []
    centres = rng.integers(0, 2, (CENTRES, BITS), dtype=np.uint8)
    for start in range(0, count, 100_000):
        rows = min(100_000, count - start)
        if kind == "random":
            parts.append(rng.integers(0, 256, (rows, BITS // 8), dtype=np.uint8))
        else:
            turned = rng.random((rows, BITS), dtype=np.float32) < CHANCE
            parts.append(np.packbits(centres[rng.integers(CENTRES, size=rows)] ^ turned, axis=1))
    return np.concatenate(parts)


def distinct_codes(count: int) -> float:
    """How many of so many collapsed codes are distinct, on average."""
    total = 0.0
    for turned in range(BITS + 1):
        chance = CHANCE**turned * (1 - CHANCE) ** (BITS - turned)
        missing = math.exp(count / CENTRES * math.log1p(-chance))
        total += CENTRES * math.comb(BITS, turned) * (1 - missing)
    return total


def search_once(place: Path) -> dict:
    """In a process of its own: memory and CPU seconds of a saved index."""
    from ssah_tf.search import CodeIndex

    rng = np.random.default_rng(1)
    small = CodeIndex(BITS, "cost")  # what libraries take is not counted
    small.add(np.arange(1000), rng.integers(0, 256, (1000, BITS // 8), dtype=np.uint8))
    small.search(small.codes[:2], K)
    before = peak()
    index = CodeIndex.load(place)
    queries = np.array(index.codes[rng.integers(len(index), size=200)])

    def least(parts) -> float:
        """CPU seconds a query: many at a time, since the clock of a process may be coarse."""
        rounds = []
        for _ in range(3):
            cpu, wall, count = time.process_time(), time.perf_counter(), 0
            while time.perf_counter() - wall < 2:
                index.search(parts[count % len(parts)], K)
                count += 1
            rounds.append((time.process_time() - cpu) / (count * len(parts[0])))
        return min(rounds)

    single = least([query[None] for query in queries])
    return {"single": single, "together": least([queries]), "memory": peak() - before}


def peak() -> int:
    """Most memory that this process has had, bytes."""
    status = Path("/proc/self/status").read_text()  # getrusage tells of the parent, too
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def tables(stored: dict) -> list[str]:
    """The lines of `docs/scale.md` and of `docs/notebook/cost_model.md` in Markdown."""

    def cost(name: str, x: float) -> float:
        return predict(stored["lines"][name], x)

    rows = []
    for count in SETS:
        distinct, seconds = distinct_codes(count), cost("encode, CPU s", count)
        memory, disk = (
            max(cost(f"{kind}: {what}, bytes", count) for kind in ("random", "collapsed"))
            for what in ("memory", "disk")
        )
        disk += cost("photos: disk, bytes", count)
        rows.append([
            f"{count:,}", in_words(seconds / 2), in_words(seconds / 64),
            size(cost("shards: disk, bytes", count)), size(disk),
            size(memory),
            size(cost("photos, searched: memory, bytes", count)),
            in_words(cost("random: query, CPU s", count)),
            in_words(cost("collapsed: query, CPU s", distinct)),
        ])  # fmt: skip
    heads = ["photos", "encode on 2 cores", "on 64", "shards on disk", "index on disk",
             "memory of codes", "of photos", "a query, random codes", "collapsed codes",
             ]  # fmt: skip
    checks = []
    for name, count, predicted, measured in stored["checks"]:
        show = size if "bytes" in name else in_words
        off = f"{round(100 * (predicted / measured - 1)):+d} %"
        checks.append([name.rpartition(",")[0], f"{count:,}", show(predicted), show(measured), off])
    rate = 1 / stored["lines"]["encode, CPU s"]["each"]
    return [
        f"{stored['date']}, {stored['machine']}; a core encodes {rate:,.0f} photos a second.",
        markdown(heads, rows),
        markdown(["what", "size", "predicted", "measured", "off by"], checks),
    ]


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def size(value: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def in_words(seconds: float) -> str:
    """A time for people."""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{1000 * seconds:.0f} ms"


if __name__ == "__main__":
    main()
