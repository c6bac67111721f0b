"""Processes that decode: what they answer, what they may take, and how they die."""

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.serve.decoder import SMALL, SPENT, need
from ssah_tf.serve.decoders import Busy, DecoderDied, Decoders
from ssah_tf.serve.pictures import Refused
from ssah_tf.serve.room import Room
from ssah_tf.system.errors import ImageError, TooManyPixels

MANY = 50_000_000


def picture(side=20, mode="RGB", colour=(200, 30, 40), kind="PNG"):
    stream = io.BytesIO()
    Image.new(mode, (side, side), colour).save(stream, kind, compress_level=1)
    return stream.getvalue()


def jpeg(size=(500, 400)):
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize(size).save(stream, "JPEG")
    return stream.getvalue()


#: Takes more than may be taken without a question.
LARGE = picture(2100)


def with_decoders(work, count=2, memory=2**28, seconds=60.0):
    """Run `work(decoders)` in a loop; afterwards no process is left."""

    async def run():
        decoders = Decoders(count, memory, seconds)
        try:
            return await work(decoders)
        finally:
            pids = [one.process.pid for one in decoders.all]
            await decoders.close()
            assert not any(alive(pid) for pid in pids)

    return asyncio.run(run())


def pixels(decoders, content, size=8, limit=MANY):
    return decoders.pixels(content, size, "the image", limit)


async def until(condition):
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come")


def alive(pid):
    """Whether a process is there, and not only its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    text = "".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(word) for word in text.split()]


async def stopped(decoders):
    """The only decoder, stopped in the midst of whatever it does next."""
    await pixels(decoders, picture())
    (decoder,) = decoders.all
    os.kill(decoder.process.pid, signal.SIGSTOP)
    return decoder


def test_what_they_answer(tmp_path):
    path = tmp_path / "photo \udcff.png"
    path.write_bytes(picture(700))

    async def work(decoders):
        for content in (picture(), LARGE, picture(50, "RGBA", (9, 9, 9, 90)), picture(9, "L", 7)):
            found = await pixels(decoders, content)
            np.testing.assert_array_equal(found.pixels, decode(content, 8))
            assert found.seconds > 0
            assert (found.damaged, found.preview) == ("", b"")
        cut = await pixels(decoders, jpeg()[:-2])
        np.testing.assert_array_equal(cut.pixels, decode(jpeg(), 8))
        assert cut.damaged == "the image: damaged: its end is missing, the picture is there"
        drawn = await decoders.pixels(jpeg(), 8, "the image", MANY, True)
        np.testing.assert_array_equal(drawn.pixels, cut.pixels)
        assert Image.open(io.BytesIO(drawn.preview)).size == (480, 384)
        with pytest.raises(ImageError, match="the image: empty, or not an image"):
            await pixels(decoders, b"no")
        with pytest.raises(TooManyPixels, match="20 x 20 pixels, the limit is 399"):
            await pixels(decoders, picture(), limit=399)
        for work, side in (("thumbnail", 320), ("large", 700)):
            drawn, stamp = await decoders.draw(work, str(path), [str(tmp_path)])
            assert Image.open(io.BytesIO(drawn)).size == (side, side)
            assert stamp == (path.stat().st_size, path.stat().st_mtime_ns)
        with pytest.raises(Refused):
            await decoders.draw("large", str(path), [str(tmp_path / "elsewhere")])
        assert decoders.died == 0
        assert decoders.room.free == decoders.room.size

    with_decoders(work)


@pytest.mark.parametrize("kind", ["SIGKILL", "stall"])
def test_one_that_dies_costs_one_picture(kind):
    async def work(decoders):
        decoder = await stopped(decoders)
        asked = asyncio.ensure_future(pixels(decoders, LARGE))
        await until(lambda: decoder.busy)
        if kind == "SIGKILL":
            decoder.process.kill()
        said = "ended before it was read" if kind == "SIGKILL" else "decoding it took over 2 s"
        with pytest.raises(DecoderDied, match=said):
            await asked
        assert decoders.died == 1
        np.testing.assert_array_equal((await pixels(decoders, LARGE)).pixels, decode(LARGE, 8))
        assert not alive(decoder.process.pid)

    with_decoders(work, count=1, seconds=60 if kind == "SIGKILL" else 2)


def test_one_that_died_idle_costs_nothing():
    async def work(decoders):
        await pixels(decoders, picture())
        (decoder,) = decoders.all
        decoder.process.kill()
        await until(lambda: not decoder.usable)
        await pixels(decoders, picture())
        assert decoders.died == 0

    with_decoders(work)


def test_a_client_that_goes_away_frees_the_decoder():
    async def work(decoders):
        decoder = await stopped(decoders)
        asked = asyncio.ensure_future(pixels(decoders, LARGE))
        await until(lambda: decoder.busy)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await pixels(decoders, picture())
        assert not alive(decoder.process.pid)
        assert decoders.room.free == decoders.room.size

    with_decoders(work, count=1)


def test_large_pictures_wait_for_room_and_small_ones_do_not():
    async def work(decoders):
        await decoders.room.take(decoders.room.size)
        large = asyncio.ensure_future(pixels(decoders, LARGE))
        await until(lambda: decoders.room._waiting)
        await pixels(decoders, picture())
        assert not large.done()
        decoders.room.give(decoders.room.size)
        np.testing.assert_array_equal((await large)[0], decode(LARGE, 8))

    with_decoders(work, count=1)


def test_pictures_in_work_take_no_more_than_the_room():
    """Five at once, of which two fit; and one that is larger than all of it is alone."""
    size = need(Image.open(io.BytesIO(LARGE)), (2100, 2100))
    assert size > SMALL
    taken = []

    class Counted(Room):
        def give(self, amount):
            taken.append(self.size - self.free)
            super().give(amount)

    async def work(decoders):
        decoders.room = Counted(2 * size + 1)
        await asyncio.gather(*(pixels(decoders, LARGE) for _ in range(5)))
        assert 0 < max(taken) <= 2 * size
        decoders.room = Counted(size // 2)
        await asyncio.gather(*(pixels(decoders, LARGE) for _ in range(2)))
        assert decoders.room.free == size // 2

    with_decoders(work, count=3)


def test_a_process_that_took_much_is_replaced():
    content = picture(4200, "L", 9)

    async def work(decoders):
        assert need(Image.open(io.BytesIO(content)), (4200, 4200)) > SPENT
        await pixels(decoders, picture())
        (first,) = decoders.all
        await pixels(decoders, LARGE)
        assert decoders.all == {first}
        await pixels(decoders, content)
        await pixels(decoders, picture())
        assert first not in decoders.all
        await until(lambda: not alive(first.process.pid))
        assert decoders.died == 0

    with_decoders(work, count=1)


def test_searches_come_before_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    order = []

    async def work(decoders):
        decoder = await stopped(decoders)
        first = asyncio.ensure_future(pixels(decoders, picture()))
        await until(lambda: decoder.busy)

        async def noted(name, asked):
            await asked
            order.append(name)

        drawn = decoders.draw("large", str(tmp_path / "a.png"), [str(tmp_path)])
        later = [asyncio.ensure_future(noted("picture", drawn))]
        await until(lambda: decoders.waiting[1])
        later.append(asyncio.ensure_future(noted("search", pixels(decoders, picture()))))
        await until(lambda: decoders.waiting[0])
        os.kill(decoder.process.pid, signal.SIGCONT)
        await asyncio.gather(first, *later)

    with_decoders(work, count=1)
    assert order == ["search", "picture"]


@pytest.mark.slow
def test_a_wait_that_is_too_long_is_given_up():
    async def work(decoders):
        await decoders.room.take(decoders.room.size)
        with pytest.raises(Busy, match="too many pictures at once"):
            await pixels(decoders, LARGE)
        decoders.room.give(decoders.room.size)
        assert not any(not future.done() for _, future in decoders.room._waiting)

    with_decoders(work, seconds=2)


def test_no_decoder_can_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def work(decoders):
        with pytest.raises(Busy, match="no decoder can be started"):
            await pixels(decoders, picture())

    with_decoders(work)


def test_room_is_given_in_order():
    async def work():
        room, order = Room(10), []

        async def take(name, amount):
            await room.take(amount)
            order.append(name)

        await room.take(6)
        waiting = [asyncio.ensure_future(take(n, a)) for n, a in (("a", 9), ("b", 4), ("c", 1))]
        await asyncio.sleep(0)
        assert not room.take_now(1)  # behind those who came before
        waiting[0].cancel()
        await asyncio.gather(*waiting[:1], return_exceptions=True)
        await waiting[1]
        assert (order, room.free) == (["b"], 0)
        room.give(4)
        await waiting[2]
        assert room.free == 3

    asyncio.run(work())


def said_by(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_memory_is_limited():
    """Beyond what the picture needs by its header, and some slack, nothing is given."""
    code = (
        "from ssah_tf.serve.decoder import SLACK, Desk\n"
        "Desk(None, None).limit_memory(2**29)\n"
        "kept = bytearray(2**29)\n"
        "try:\n    bytearray(SLACK + 2**20)\n"
        "except MemoryError:\n    print('refused')\n"
    )
    assert said_by(code) == "refused"


def test_what_a_decoder_imports():
    code = (
        "import sys, ssah_tf.serve.decoder\n"
        "heavy = {'onnxruntime', 'tensorflow', 'keras', 'faiss', 'pyarrow', 'fastapi', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert said_by(code) == "[]"


def post(url, body):
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(url, body, timeout=90) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def started(pid):
    """The two decoders of a service, when they have imported all and ignore signals."""

    def ignores(child):
        lines = Path(f"/proc/{child}/status").read_text().splitlines()
        mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
        return mask >> (signal.SIGTERM - 1) & 1

    wait_for(lambda: len(children(pid)) == 2 and all(map(ignores, children(pid))))
    return children(pid)


def killed_after(seconds, pid, url, body):
    """The answer to a picture whose decoder is stopped, and killed after a while."""
    found, answers = started(pid), []
    for child in found:
        os.kill(child, signal.SIGSTOP)
    client = threading.Thread(target=lambda: answers.append(post(url, body)))
    client.start()
    time.sleep(seconds)
    for child in found:
        os.kill(child, signal.SIGKILL)
    client.join()
    return answers[0]


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come")


def test_a_service_and_its_decoders(shared, serve):
    """Ctrl-C is not for them; one that is killed is a 400; they do not outlive a killed service."""
    served = serve(shared.folder, "--rate", "0")
    body, url = shared.body(200, 0, 0), f"{served.url}/encode"
    pid = served.process.pid
    first = started(pid)
    assert post(url, body)[0] == 200
    for child in first:
        os.kill(child, signal.SIGINT)
        os.kill(child, signal.SIGTERM)
    assert post(url, body)[0] == 200
    assert children(pid) == first
    for wait in range(1, 20):  # long enough for the picture to be with a decoder
        status, said = killed_after(wait / 3, pid, url, body)
        if status != 200:
            break
    assert status == 400, said
    assert "its decoder ended before it was read" in said
    wait_for(lambda: post(url, body)[0] == 200)  # the other one may cost a request, too
    last = started(pid)
    served.process.kill()
    served.process.communicate()
    wait_for(lambda: not any(alive(child) for child in last))


@pytest.mark.slow
def test_a_hundred_killed_under_load(shared, serve):
    """Each costs one request at most; all others are answered, and right."""
    served = serve(shared.folder, "--rate", "0")
    pid, stop, statuses = served.process.pid, threading.Event(), []
    body = shared.body(200, 0, 0, size=(900, 900))

    def search():
        while not stop.is_set():
            status, text = post(f"{served.url}/encode", body)
            right = status == 400 or shared.code_of(200, 0, 0) in text
            statuses.append(status if right else 0)

    clients = [threading.Thread(target=search) for _ in range(6)]
    for client in clients:
        client.start()
    killed = 0
    while killed < 100:
        answered = statuses.count(200)
        wait_for(lambda before=answered: statuses.count(200) > before + 5)
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(children(pid)[0], signal.SIGKILL)
            killed += 1
    stop.set()
    for client in clients:
        client.join()
    assert set(statuses) <= {200, 400}
    assert statuses.count(400) <= 100
    assert post(f"{served.url}/encode", shared.body(200, 0, 0))[0] == 200
    code, said = served.stop()
    assert code == 0
    assert "Traceback" not in said
