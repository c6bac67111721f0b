"""Loads `ssah serve` with clients of every kind at once, beside plain clients alone.

    python benchmarks/serve_mixed.py [--clients 40] [--seconds 600] [--encoder EXPORT]

The photos, the index and the encoder are those of `serve_load.py`. First the clients alone: each
sends a JPEG file of 640 x 480 once a second and asks for 20 neighbours. Then the same clients, and
beside them:

- uploads of a picture of 24 megapixels at 20 kB a second, four more than are taken in of a client;
- uploads of that picture at once, and the large pictures of photos;
- costly filters: new ones that match few photos, and ones above the limits;
- now and then the decoders of the service are killed, each of which costs a 400 at most;
- now and then the proxy that the plain clients go through is started anew, if nginx is installed.

Every answer of a search is compared with that of the index in this process. The bars: no status in
the 500s but 503 with Retry-After; no wrong answer; the median time of a plain search at most 1.5
times that of the plain clients alone; in the end no more memory than after these, but a fifth and
64 MiB of thumbnails. Memory is that of all processes of the service: their own, and their share of
what they have in common. One line of JSON at the end; exit code 1 if a bar is missed.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from serve_clients import NGINX, Client, Found, Service

from ssah_tf.search.photo_index import PhotoIndex

#: Neighbours of a search.
K = 20
#: Kind of a request -> statuses that it may have. What is broken off by a proxy's end has none.
ALLOWED = {
    "plain": {200, 503}, "slow": {200, 429, 503}, "large": {200, 503}, "picture": {200, 503},
    "filter": {200, 503}, "too costly": {422},
}  # fmt: skip


@dataclass(frozen=True)
class Mix:
    """What comes beside the plain clients.

    Attributes:
        clients: Plain ones.
        seconds: How long, of the mixture; the plain ones alone take a fifth, a minute at most.
        slow: Slow uploads at once.
        speed: Bytes a second of each.
        others: Clients of each other kind.
        megapixels: Of a large picture.
        every: Seconds between two kills, and between two ends of the proxy.
        rest: Seconds of rest before memory is looked at in the end.
    """

    clients: int = 40
    seconds: float = 600
    slow: int = 20
    speed: int = 20_000
    others: int = 2
    megapixels: float = 24
    every: float = 20
    rest: float = 10


class Load:
    """Clients of every kind.

    Args:
        service: What they ask.
        index: The folder of its index.
        bodies: Images that are searched for.
        mix: How many of what.
    """

    def __init__(self, service: Service, index: Path, bodies: list[bytes], mix: Mix):
        self.service, self.bodies, self.mix = service, bodies, mix
        with PhotoIndex.open(index, whole=True) as opened:
            self.index, self.encoder = opened, opened.encoder(threads=1)
        self.large = large_picture(mix.megapixels)
        self.expected = {body: self.neighbours(body) for body in (*bodies, self.large)}
        self.paths = self.index.photos.paths()

    def neighbours(self, body: bytes, *where: str) -> list[tuple[int, int]]:
        """What a search is to find: (id, distance)."""
        code = self.encoder.full_codes(self.pixels(body)[None])
        return [(hit.id, hit.distance) for hit in self.index.neighbours(code, K, None, where)[0]]

    def pixels(self, body: bytes) -> np.ndarray:
        """An image as the encoder takes it."""
        from ssah_tf.data.decode import decode

        return decode(body, self.encoder.image_size)

    async def alone(self, seconds: float) -> Found:
        """The plain clients."""
        found, end = Found(), time.perf_counter() + seconds
        await asyncio.gather(*(self.plain(n, found, end) for n in range(self.mix.clients)))
        return found

    async def mixed(self) -> Found:
        """All of them."""
        mix, found = self.mix, Found()
        end = time.perf_counter() + mix.seconds
        jobs = [self.plain(number, found, end) for number in range(mix.clients)]
        jobs += [self.slow(number, found, end) for number in range(mix.slow)]
        for kind in (self.large_ones, self.pictures, self.filters):
            jobs += [kind(number, found, end) for number in range(mix.others)]
        await asyncio.gather(*jobs, self.trouble(found, end))
        return found

    async def plain(self, number: int, found: Found, end: float) -> None:
        """A search a second, at a moment of its own."""
        client, begin = Client(self.service.front, "plain", found), time.perf_counter()
        for turn in count():
            due = begin + turn + number / self.mix.clients
            if due > end:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = self.bodies[(turn * self.mix.clients + number) % len(self.bodies)]
            if await client.ask(f"POST /search?k={K}", body, self.expected[body]):
                found.plain.append(time.perf_counter() - due)
        client.close()

    async def slow(self, number: int, found: Found, end: float) -> None:
        """Uploads over a slow line, straight to the service: a proxy would gather them."""
        while time.perf_counter() < end:
            client = Client(self.service.port, "slow", found)
            body = self.large
            await client.ask(f"POST /search?k={K}", body, self.expected[body], self.mix.speed)
            client.close()

    async def large_ones(self, number: int, found: Found, end: float) -> None:
        """Searches by large pictures."""
        client = Client(self.service.port, "large", found)
        while time.perf_counter() < end:
            await client.ask(f"POST /search?k={K}", self.large, self.expected[self.large])
            await asyncio.sleep(1)
        client.close()

    async def pictures(self, number: int, found: Found, end: float) -> None:
        """Large pictures of photos, one after another."""
        client = Client(self.service.port, "picture", found)
        for turn in count(number, self.mix.others):
            if time.perf_counter() > end:
                break
            photo = int(self.index.photos.ids[turn % len(self.index)])
            await client.ask(f"GET /photos/{photo}/image")
            await asyncio.sleep(0.2)
        client.close()

    async def filters(self, number: int, found: Found, end: float) -> None:
        """Conditions that were not met before, and ones that are refused."""
        client = Client(self.service.port, "filter", found)
        refused = Client(self.service.port, "too costly", found)
        for turn in count(number):
            if time.perf_counter() > end:
                break
            stem = Path(self.paths[turn % len(self.paths)]).stem
            where = "path=" + "*".join(("", *stem, ".jp?g"))[:60] + "*"
            body = self.bodies[turn % len(self.bodies)]
            expected = await asyncio.to_thread(self.neighbours, body, where)
            address = f"POST /search?k={K}&filter={where.replace('?', '%3F')}"
            await client.ask(address, body, expected)
            await refused.ask(f"GET /photos?filter=path={'*a' * 15_000}")
            await asyncio.sleep(0.5)
        client.close()
        refused.close()

    async def trouble(self, found: Found, end: float) -> None:
        """Processes are killed, and the proxy is started anew, in turns."""
        while time.perf_counter() + self.mix.every / 2 < end:
            await asyncio.sleep(self.mix.every / 2)
            found.killed += self.service.kill_below()
            await asyncio.sleep(max(0.0, min(self.mix.every / 2, end - time.perf_counter())))
            if self.service.proxy is not None:
                await asyncio.to_thread(self.service.start_proxy)
                found.proxy_restarts += 1


def large_picture(megapixels: float) -> bytes:
    """A JPEG file of a smooth picture with some noise, 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 18, 3), dtype=np.uint8))
    image = small.resize((height * 3 // 2, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


async def measure(index: Path, folder: Path, bodies: list[bytes], mix: Mix, *options: str) -> dict:
    """Run both loads against a service; what is to be printed."""
    service = Service(index, folder, *options)
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, service.memory())
            await asyncio.sleep(1)

    try:
        load = Load(service, index, bodies, mix)
        await load.alone(min(3.0, mix.seconds / 5))  # warm
        plain = await load.alone(min(60.0, mix.seconds / 5))
        start = peak = service.memory()
        watching = asyncio.create_task(watch())
        mixed = await load.mixed()
        watching.cancel()
        await asyncio.sleep(mix.rest)
        end = service.memory()
    finally:
        service.close()
    return report(plain, mixed, {"start": start, "peak": max(peak, end), "end": end}, mix)


def report(plain: Found, mixed: Found, memory: dict[str, int], mix: Mix) -> dict:
    """The numbers, and which bars are met."""
    medians = [float(np.median(found.plain)) * 1000 for found in (plain, mixed)]
    kinds = [one.rpartition(" ") for one in mixed.answers]
    # A decoder that is killed costs the picture that it had: 400, once.
    died = sum(times for one, times in mixed.answers.items() if one.endswith(" 400"))
    odd = sorted(
        f"{kind} {status}"
        for kind, _, status in kinds
        if not (status == "lost" and kind == "plain" and mixed.proxy_restarts)
        and not (status == "400" and died <= mixed.killed)
        and (status == "lost" or int(status) not in ALLOWED[kind])
    )
    bars = {
        "no status that was not to be": not odd,
        "Retry-After with every 503": not plain.bare + mixed.bare,
        "no wrong answer": not plain.wrong + mixed.wrong,
        "median at most 1.5 times": medians[1] <= 1.5 * medians[0],
        "memory is given back": memory["end"] <= 1.2 * memory["start"] + 64 * 2**20,
    }
    return {
        "mix": asdict(mix),
        "nginx": bool(NGINX),
        "plain": dict(sorted(plain.answers.items())),
        "mixed": dict(sorted(mixed.answers.items())),
        "odd": odd,
        "wrong": plain.wrong + mixed.wrong,
        "killed": mixed.killed,
        "proxy_restarts": mixed.proxy_restarts,
        "median_ms": {"plain": medians[0], "mixed": medians[1]},
        "memory_mib": {name: size / 2**20 for name, size in memory.items()},
        "bars": bars,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=Mix.clients)
    parser.add_argument("--seconds", type=float, default=Mix.seconds)
    parser.add_argument("--encoder", type=Path, help="What `ssah export` wrote.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx has a user of its own
        # In a process of its own: TensorFlow makes these and must not stay in memory.
        words = [sys.executable, __file__, "--make", folder, given.encoder or ""]
        subprocess.run(words, check=True)
        bodies = [path.read_bytes() for path in sorted((folder / "photos").rglob("*.jpg"))[:500]]
        mix = Mix(clients=given.clients, seconds=given.seconds)
        result = asyncio.run(measure(folder / "index", folder, bodies, mix))
        result = {"machine": (folder / "machine").read_text(), "cores": os.cpu_count(), **result}
    for load in ("plain", "mixed"):
        print(f"{load}: " + ", ".join(f"{count:,} {name}" for name, count in result[load].items()))
    print("killed {killed}, proxy restarts {proxy_restarts}, wrong {wrong}".format(**result))
    print("median, ms: plain {plain:.1f}, mixed {mixed:.1f}".format(**result["median_ms"]))
    print(
        "memory, MiB: start {start:.0f}, peak {peak:.0f}, end {end:.0f}".format(
            **result["memory_mib"]
        )
    )
    for bar, met in result["bars"].items():
        print(f"{bar}: {'met' if met else 'MISSED'}")
    print(json.dumps(result))
    sys.exit(not all(result["bars"].values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        from serve_load import make

        make(Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3] else None)
    else:
        main()
