"""Decoders of pictures in processes of their own: one that dies costs one picture, no service.

`concurrent.futures` gives up its whole pool, and all that is under way, with one process that is
killed. Here each process has pipes of its own, so nothing of it is left to the others.
"""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from ssah_tf.serve.decoder import LENGTHS, Message, NoRoom, pack
from ssah_tf.serve.pictures import Refused, Stamp
from ssah_tf.serve.room import Room
from ssah_tf.system.errors import ImageError, SsahError, TooManyPixels
from ssah_tf.system.text import first_line

#: What a process runs, by the search path of this one and no other.
CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ssah_tf.serve.decoder import main; main()"
)
#: Libraries start no threads that a picture has no use for, and glibc keeps memory in few places.
FEW = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
#: Bytes of an answer that are read ahead.
AHEAD = 2**20
#: Seconds for a process to start, and tries if it is killed meanwhile.
START, TRIES = 60.0, 5
#: Seconds that an idle process is given to end.
PATIENCE = 5.0
#: Seconds after which a process ends by itself, beyond those that a picture may take.
BEYOND = 5.0
#: Errors that a process may answer with.
ERRORS: dict[str, type[SsahError]] = {
    one.__name__: one for one in (ImageError, TooManyPixels, Refused, NoRoom)
}

T = TypeVar("T")

log = logging.getLogger("uvicorn.error")


class DecoderDied(SsahError):
    """A picture whose decoder ended, or was ended."""


class Busy(SsahError):
    """No decoder came free in time."""


def death(error: Exception, seconds: float) -> DecoderDied:
    """What became of a decoder."""
    if isinstance(error, TimeoutError):
        return DecoderDied(f"the image: decoding it took over {seconds:g} s")
    return DecoderDied("the image: its decoder ended before it was read")


class Upload(NamedTuple):
    """An image that somebody has sent.

    Attributes:
        pixels: What an encoder sees of it, uint8 `(size, size, 3)`.
        seconds: How long it took to decode.
        damaged: What is missing in it, if it was read as far as it goes; "" for a whole one.
        preview: The picture as a file for people; empty if it was not asked for, or not drawn.
    """

    pixels: np.ndarray
    seconds: float
    damaged: str
    preview: bytes


class Decoder:
    """A process that decodes one picture after the other; see `decoder`.

    Attributes:
        fit: Whether it is to be used again.
        busy: Whether it has not yet said all of an answer.
    """

    def __init__(self, process: Process):
        self.process = process
        self.fit = True
        self.busy = False

    @classmethod
    async def start(cls) -> Self:
        """Start a process.

        Raises:
            OSError: It does not start.
            EOFError: It ended as it started.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SSAH_")} | FEW
        words = (sys.executable, "-P", "-c", CODE, json.dumps(sys.path))
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=PIPE,
            stdout=PIPE,
            limit=AHEAD,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the service
        )
        decoder = cls(process)
        try:
            async with asyncio.timeout(START):
                await decoder.receive()
        except BaseException:
            await decoder.end()
            raise
        return decoder

    @property
    def usable(self) -> bool:
        """Whether it can take a job, as far as is known."""
        assert self.process.stdout is not None
        return (
            self.fit
            and not self.busy
            and self.process.returncode is None
            and not self.process.stdout.at_eof()
        )

    async def ask(self, about: dict[str, Any], content: bytes = b"") -> Message:
        """Send a message, and take the answer.

        Raises:
            OSError, EOFError: The process has ended.
        """
        stdin = self.process.stdin
        assert stdin is not None
        self.busy = True
        stdin.write(pack(about, content) + content)
        await stdin.drain()
        return await self.receive()

    async def receive(self) -> Message:
        """The next message. See `ask`."""
        stdout = self.process.stdout
        assert stdout is not None
        lengths = LENGTHS.unpack(await stdout.readexactly(LENGTHS.size))
        about, content = [await stdout.readexactly(length) for length in lengths]
        self.busy = False
        return json.loads(about), content

    async def end(self) -> None:
        """End the process: one that has nothing to do ends by itself when stdin is closed."""
        self.fit = False
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(0 if self.busy else PATIENCE):
                await self.process.wait()
        except TimeoutError:
            if not self.process.stdout.at_eof():
                with suppress(ProcessLookupError):
                    self.process.kill()
            await self.process.wait()


class Decoders:
    """Some decoders, and the room that their pictures may take together.

    Args:
        count: Processes; they are started when there is something to do.
        memory: Bytes that pictures in work may take, about; one that takes more is alone.
        seconds: For one picture; twice as many for a wait before it.
    """

    def __init__(self, count: int, memory: int, seconds: float):
        self.count, self.seconds = count, seconds
        self.room = Room(memory)
        self.all: set[Decoder] = set()
        self.idle: list[Decoder] = []
        self.waiting: tuple[deque[asyncio.Future[Decoder]], ...] = (deque(), deque())
        self.tasks: set[asyncio.Task[None]] = set()
        self.starting = 0
        self.closed = False
        self.died = 0

    async def pixels(
        self, content: bytes, size: int, name: str, max_pixels: int, preview: bool = False
    ) -> Upload:
        """What an encoder sees of an image; see `decode`.

        Args:
            content: The file.
            size: Side in pixels.
            name: See `decode`.
            max_pixels: See `decode`.
            preview: Whether the picture is to be drawn for people, too.

        Raises:
            ImageError: It cannot be read, or is too large.
            DecoderDied: Its decoder ended, or took too long.
            Busy: No decoder came free in time.
        """
        job = {"work": "pixels", "size": size, "name": name, "max_pixels": max_pixels}
        about, found = await self.do({**job, "preview": preview}, content, 0)
        end = about["pixels"]
        seen = np.frombuffer(found[:end], np.uint8).reshape(size, size, 3)
        return Upload(seen, about["took"], about["damaged"], found[end:])

    async def draw(self, work: str, path: str, roots: Sequence[str]) -> tuple[bytes, Stamp]:
        """A picture of a file, after all that waits for `pixels`; see `pictures`.

        Args:
            work: "thumbnail" or "large".
            path: The file.
            roots: See `pictures.open_inside`.

        Returns:
            The picture, and the stamp of the file.

        Raises:
            Refused: See `pictures.open_inside`.
            ImageError, DecoderDied, Busy: See `pixels`.
        """
        about, drawn = await self.do({"work": work, "path": path, "roots": list(roots)}, b"", 1)
        size, mtime_ns = about["stamp"]
        return drawn, (size, mtime_ns)

    async def do(self, job: dict[str, Any], content: bytes, lane: int) -> Message:
        """Have a job done, when there is a decoder and room for the picture."""
        held, wanted = 0, 0
        job = {**job, "seconds": self.seconds + BEYOND}
        try:
            while True:
                if wanted:
                    await self.in_time(self.room.take(wanted))
                    held = wanted
                decoder: Decoder = await self.in_time(self.one(lane))
                try:
                    async with asyncio.timeout(self.seconds):
                        said, body = await decoder.ask(job, content)
                        if "needs" in said:
                            wanted = min(said["needs"], self.room.size)
                            if wanted > held and self.room.take_now(wanted - held):
                                held = wanted
                            said, body = await decoder.ask({"go": wanted <= held})
                    decoder.fit = not said["last"]
                except (OSError, EOFError) as error:
                    self.died += 1
                    raise death(error, self.seconds) from None
                finally:
                    self.release(decoder)
                if "error" not in said:
                    return said, body
                if said["error"] != NoRoom.__name__:
                    raise ERRORS.get(said["error"], ImageError)(said["message"])
                self.room.give(held)
                held = 0
        finally:
            self.room.give(held)

    async def in_time(self, wait: Coroutine[Any, Any, T]) -> T:
        """What is waited for; given up if that lasts too long.

        Raises:
            Busy: It did.
        """
        try:
            async with asyncio.timeout(2 * self.seconds):
                return await wait
        except TimeoutError:
            raise Busy("too many pictures at once; try again") from None

    async def one(self, lane: int) -> Decoder:
        """A decoder, as soon as one has nothing to do."""
        while self.idle:
            decoder = self.idle.pop()
            if decoder.usable:
                return decoder
            self.drop(decoder)
        future = asyncio.get_running_loop().create_future()
        self.waiting[lane].append(future)
        if len(self.all) + self.starting < self.count:
            self.begin()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())
            raise

    def release(self, decoder: Decoder) -> None:
        """Give a decoder to who waits, those for searches first; one that is spent is replaced."""
        if self.closed or not decoder.usable:
            self.drop(decoder)
            self.begin()
        elif (first := self.first_waiting()) is not None:
            first.set_result(decoder)
        else:
            self.idle.append(decoder)

    def first_waiting(self) -> "asyncio.Future[Decoder] | None":
        """Who waits for a decoder and is next; no longer among those who wait."""
        for lane in self.waiting:
            while lane:
                if not (future := lane.popleft()).done():
                    return future
        return None

    def drop(self, decoder: Decoder) -> None:
        """End a decoder."""
        self.all.discard(decoder)
        self.keep(decoder.end())

    def begin(self) -> None:
        """Start a decoder."""
        if not self.closed:
            self.starting += 1
            self.keep(self.start())

    async def start(self) -> None:
        """Start a decoder, in some tries; where that fails, who waits for it hears of it."""
        try:
            for left in reversed(range(TRIES)):
                try:
                    decoder = await Decoder.start()
                    break
                except EOFError:
                    if not left:
                        raise
        except (OSError, EOFError) as error:
            log.warning("no decoder can be started: %s", first_line(error))
            while (first := self.first_waiting()) is not None:
                first.set_exception(Busy("no decoder can be started; try again"))
            return
        finally:
            self.starting -= 1
        self.all.add(decoder)
        self.release(decoder)

    def keep(self, work: Any) -> None:
        """Let something go on beside the requests."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def warm_up(self) -> None:
        """Start all decoders."""
        for _ in range(self.count - len(self.all) - self.starting):
            self.begin()

    async def close(self) -> None:
        """End all decoders."""
        self.closed = True
        for decoder in list(self.all):
            self.drop(decoder)
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)
