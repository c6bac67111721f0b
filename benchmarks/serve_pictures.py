"""Large pictures, killed decoders and ordinary searches at a real `ssah serve`.

    python benchmarks/serve_pictures.py [--index INDEX] [--short]

Without --index that of `serve_load.py`, of JPEG files of 640 x 480. Three parts:

- memory: eight uploads of 49 megapixels at once, as PNG of 16-bit grey, of RGBA, and of RGBA of
  16 bits that is dark; resident memory of the service and all its processes, summed, before, at
  most, and a minute after. Pages that processes share count for each.
- kills: a decoder is killed a hundred times while six clients search; how many searches failed.
- throughput: searches with JPEG files of 640 x 480 from 50 clients flat out, with decoders and
  with pictures decoded in the service itself, in turns; searches a second, and the CPU time of the
  service and its processes for one.

--short does all of it in seconds, on smaller pictures. Linux alone. One line of JSON at the end.
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data.decode import decode

#: Starts the service with decoding in its own threads, as it would be without decoders.
IN_PROCESS = "--in-process"
KINDS = ("grey, 16 bits", "RGBA", "dark RGBA, 16 bits")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, help="What `ssah index` wrote.")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = given.index
        if index is None:
            make = Path(__file__).with_name("serve_load.py")
            subprocess.run([sys.executable, make, "--make", folder, ""], check=True)
            index = Path(folder) / "index"
        side, rest, kills, seconds, turns = (2500, 1, 4, 2, 1) if given.short else (
            7000, 60, 100, 30, 5
        )  # fmt: skip
        found = {"memory": {}}
        for kind in KINDS:
            row = found["memory"][kind] = memory(index, kind, side, rest)
            print(f"{kind}: {row}", flush=True)
        found["kills"] = kill_decoders(index, kills)
        print(found["kills"], flush=True)
        found["throughput"] = throughput(index, seconds, turns)
        print(found["throughput"])
    print(json.dumps(found))


class Service:
    """A service on a free port, for the time of a block."""

    def __init__(self, index: Path, *words: str):
        begin = [__file__, IN_PROCESS] if IN_PROCESS in words else ["-m", "ssah_tf.cli"]
        self.words = [sys.executable, *begin, "serve", str(index), "--port", "0", "--rate", "0"]

    def __enter__(self) -> "Service":
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True)
        line = ""
        while "search page" not in line:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the service does not start")
        self.port = int(line.split("/ ")[0].rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate()

    def post(self, body: bytes) -> int:
        """The status of an answer to an image."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/encode", body, timeout=90):
                return 200
        except urllib.error.HTTPError as error:
            return error.code

    def decoders(self) -> list[int]:
        """Numbers of the other processes."""
        return children(self.process.pid)

    def cpu(self) -> float:
        """Seconds of CPU that the processes have taken."""
        ticks = 0
        for pid in (self.process.pid, *self.decoders()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Resident memory of all processes, MB."""
        return sum(resident(pid) for pid in (self.process.pid, *self.decoders())) / 1e6


def children(pid: int) -> list[int]:
    """Numbers of the processes that a process has started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def resident(pid: int) -> int:
    """Resident memory of a process, bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def large_png(kind: str, side: int) -> bytes:
    """A PNG of one colour."""
    stream = io.BytesIO()
    if kind == "grey, 16 bits":
        Image.new("I;16", (side, side), 700).save(stream, "PNG", compress_level=9)
        return stream.getvalue()
    if kind == "RGBA":
        Image.new("RGBA", (side, side), (9, 8, 7, 200)).save(stream, "PNG", compress_level=9)
        return stream.getvalue()

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    press, row = zlib.compressobj(9), b"\0" + struct.pack(">4H", 700, 600, 500, 900) * side
    body = b"".join(press.compress(row) for _ in range(side)) + press.flush()
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", body), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def memory(index: Path, kind: str, side: int, rest: float, count: int = 8) -> dict[str, object]:
    """Send large pictures at once; statuses, seconds, and resident memory in MB."""
    body, statuses, peak, done = large_png(kind, side), [], 0.0, threading.Event()
    with Service(index) as service:
        while len(service.decoders()) < 2:
            time.sleep(0.1)
        time.sleep(2)  # the decoders have imported what they need
        start = service.resident()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.02):
                peak = max(peak, service.resident())

        threads = [
            threading.Thread(target=lambda: statuses.append(service.post(body)))
            for _ in range(count)
        ]
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begin
        time.sleep(rest)
        done.set()
        watcher.join()
        after = service.resident()
    mb = {"start": round(start), "peak": round(peak), "after": round(after)}
    return {"bytes": len(body), "statuses": sorted(statuses), "seconds": round(seconds, 1), **mb}


def kill_decoders(index: Path, kills: int) -> dict[str, int]:
    """Kill decoders under load; how many searches were answered, and how many failed."""
    statuses, done, killed = [], threading.Event(), 0
    body = photo(0)
    with Service(index) as service:

        def search() -> None:
            while not done.is_set():
                statuses.append(service.post(body))

        clients = [threading.Thread(target=search) for _ in range(6)]
        for client in clients:
            client.start()
        while killed < kills:
            before = statuses.count(200)
            while statuses.count(200) < before + 10:  # the last one was replaced
                time.sleep(0.01)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(service.decoders()[0], signal.SIGKILL)
                killed += 1
        done.set()
        for client in clients:
            client.join()
        last = service.post(body)
    counts = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {"killed": killed, "searches": len(statuses), "statuses": counts, "afterwards": last}


def photo(seed: int) -> bytes:
    """A smooth JPEG of 640 x 480."""
    small = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def throughput(index: Path, seconds: float, turns: int) -> dict[str, object]:
    """Searches a second with decoders and without, in turns; the ratio of the medians."""
    from serve_load import load

    bodies = [photo(seed) for seed in range(50)]
    rates: dict[str, list[float]] = {"decoders": [], "in the service": []}
    cost: dict[str, list[float]] = {name: [] for name in rates}
    for turn in range(2 * turns):
        name, words = (("decoders", ()), ("in the service", (IN_PROCESS,)))[turn % 2]
        with Service(index, *words) as service:
            asyncio.run(load(service.port, bodies, 50, min(3, seconds), 0))  # warm
            before = service.cpu()
            took, _ = asyncio.run(load(service.port, bodies, 50, seconds, 0))
            cost[name].append(round(1000 * (service.cpu() - before) / len(took), 3))
            rates[name].append(round(len(took) / seconds, 1))
    medians = [float(np.median(one)) for one in rates.values()]
    return {
        "searches a second": rates,
        "CPU ms a search": cost,
        "with decoders against without": round(medians[0] / medians[1], 3),
    }


def serve_in_process() -> None:
    """Be the service, with pictures decoded in its own threads."""
    from ssah_tf.cli.app import main as ssah
    from ssah_tf.serve.app import SearchService
    from ssah_tf.serve.decoders import Decoders

    encode = SearchService.encode

    async def later(self, library, content: bytes) -> np.ndarray:
        return np.frombuffer(content, np.uint8)[None, None]

    def encode_file(self, library, content: np.ndarray) -> np.ndarray:
        with self.metrics.work.labels("decode").time():
            size, limit = library.encoder.image_size, self.settings.max_pixels
            pixels = decode(content.tobytes(), size, "the image", limit)
        return encode(self, library, pixels)

    SearchService.decode, SearchService.encode = later, encode_file
    Decoders.warm_up = lambda _: None
    ssah()


if __name__ == "__main__":
    if IN_PROCESS in sys.argv:
        sys.argv.remove(IN_PROCESS)
        serve_in_process()
    else:
        main()
