"""Loads `ssah serve` with many clients, beside what its encoder takes for the same images alone.

    python benchmarks/serve_load.py [--clients 50] [--seconds 60] [--encoder EXPORT]

A real service on loopback over an index of JPEG files of 640 x 480, on the same machine as its
clients; every search sends such a file and asks for 20 neighbours. Without --encoder that is
`resnet20` at 32 px, 48 bits, not trained: speed does not depend on weights. Each client keeps a
connection. Two loads:

- paced: each client searches once a second, at a moment of its own; latency counts from the moment
  at which the search was due, so that a stall is seen by all whom it would have kept waiting;
- flat out: each client searches again as soon as it has its answer. Then the time of an answer is
  mostly waiting for the cores, so the encoder's own is taken with as many callers waiting for it,
  in as many threads, without HTTP and without a search.

"Beyond the encoder" is the difference of the medians. One line of JSON at the end.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np

from ssah_tf import Encoder
from ssah_tf.search.photo_index import PhotoIndex

HEAD = "POST /search?k=20 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--encoder", type=Path, help="What `ssah export` wrote.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # In a process of its own: TensorFlow makes these and must not stay in memory.
        subprocess.run(
            [sys.executable, __file__, "--make", folder, given.encoder or ""], check=True
        )
        run(given, folder)


def make(folder: Path, encoder: Path | None) -> None:
    """Photos, an encoder and an index; what machine this is."""
    from input_pipeline import make_photos

    from ssah_tf.training.machine import machine

    (folder / "machine").write_text(machine())
    photos = make_photos(folder / "photos")
    if encoder is None:
        from untrained_encoder import write_encoder

        encoder = write_encoder(folder, bits=48)
    loaded = Encoder.load(encoder)
    PhotoIndex.open(folder / "index", loaded).sync(loaded, [photos])


def run(given, folder: Path) -> None:
    """Measure, print."""
    bodies = [path.read_bytes() for path in sorted((folder / "photos").rglob("*.jpg"))[:500]]
    encoder = PhotoIndex.open(folder / "index").encoder(threads=1)
    words = [sys.executable, "-m", "ssah_tf.cli", "serve", str(folder / "index")]
    service = subprocess.Popen(
        [*words, "--port", "0", "--rate", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        line = ""
        while "search page" not in line:
            line = service.stdout.readline()
        port = int(line.split("/ ")[0].rpartition(":")[2])
        asyncio.run(load(port, bodies, given.clients, 3, 0))  # warm
        one = [timed(encoder, body) for body in bodies[:300]]
        rows = {
            "encoder alone, one at a time": (one, 0),
            "HTTP, one client": asyncio.run(load(port, bodies, 1, 10, 0)),
            f"HTTP, {given.clients} clients, a search a second each": asyncio.run(
                load(port, bodies, given.clients, given.seconds, 1)
            ),
            f"encoder alone, {given.clients} callers flat out": (
                asyncio.run(crowd(encoder, bodies, given.clients, 15)),
                0,
            ),
            f"HTTP, {given.clients} clients flat out": asyncio.run(
                load(port, bodies, given.clients, given.seconds, 0)
            ),
        }
    finally:
        service.terminate()
        service.wait()
    result = {"machine": (folder / "machine").read_text(), "clients": given.clients, "rows": {}}
    print(f"{'':<48}{'searches':>9}{'errors':>7}{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}")
    for name, (seconds, errors) in rows.items():
        p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1000
        print(f"{name:<48}{len(seconds):>9,}{errors:>7}{p50:>8.1f}{p95:>8.1f}{p99:>8.1f}")
        result["rows"][name] = {"searches": len(seconds), "errors": errors, "p50": p50, "p99": p99}
    alone, single, paced, crowded, flat = (np.median(row[0]) * 1000 for row in rows.values())
    result["beyond_encoder_p50_ms"] = {
        "one client": single - alone,
        "paced": paced - alone,
        "flat out": flat - crowded,
    }
    for name, value in result["beyond_encoder_p50_ms"].items():
        print(f"beyond the encoder at p50, {name:<21}{value:>8.1f} ms")
    print(json.dumps(result))


def timed(encoder: Encoder, body: bytes) -> float:
    """Seconds of one encoding from the bytes of a file."""
    began = time.perf_counter()
    encoder.encode(body)
    return time.perf_counter() - began


async def crowd(encoder: Encoder, bodies: list[bytes], callers: int, seconds: float):
    """Seconds of each encoding, with many callers and a thread a core."""
    pool = ThreadPoolExecutor(os.cpu_count())
    loop, took, end = asyncio.get_running_loop(), [], time.perf_counter() + seconds

    async def caller(number: int) -> None:
        for turn in count(number):
            began = time.perf_counter()
            if began > end:
                return
            await loop.run_in_executor(pool, encoder.encode, bodies[turn % len(bodies)])
            took.append(time.perf_counter() - began)

    await asyncio.gather(*map(caller, range(callers)))
    return took


async def load(port: int, bodies: list[bytes], clients: int, seconds: float, pace: float):
    """Seconds of each search, and how many went wrong.

    Args:
        port: Of the service.
        bodies: Images, sent in turns.
        clients: Connections.
        seconds: How long.
        pace: Seconds from one search of a client to its next; 0 for none.
    """
    took, errors, begin = [], 0, time.perf_counter()

    async def client(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        for turn in count():
            due = begin + pace * (turn + number / clients) if pace else time.perf_counter()
            if due > begin + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = bodies[(turn * clients + number) % len(bodies)]
            try:
                writer.write(HEAD.format(len(body)).encode() + body)
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                answer = await reader.readexactly(size)
                right = head.startswith(b"HTTP/1.1 200") and answer.count(b'"distance"') == 20
            except (OSError, EOFError, IndexError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
                right = False
            errors += not right
            took.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return took, errors


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3] else None)
    else:
        main()
