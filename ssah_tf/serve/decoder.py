"""The process that decodes pictures for a service: jobs come on stdin, answers go to stdout.

A message is a line of JSON behind its length, and bytes behind theirs. Nothing that a process says
is unpickled, and it imports Pillow and NumPy, neither ONNX Runtime nor TensorFlow.
"""

import contextlib
import json
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from PIL import Image

from ssah_tf.data.decode import Admit, decode
from ssah_tf.data.raw_mode import is_deep, raw_mode
from ssah_tf.serve.pictures import PREVIEW, large, open_inside, stamp_of, thumbnail, whole
from ssah_tf.system.errors import ImageError, SsahError

#: Lengths of the two parts of a message.
LENGTHS = struct.Struct(">IQ")
#: Bytes that a decoder takes for a pixel, where that is not four: its own copies are in it.
TAKES = {"WEBP": 16, "AVIF": 12, "HEIF": 12}
#: The same for samples of 16 bits, and what a progressive JPEG takes for each pixel of the file.
DEEP, PROGRESSIVE = 8, 6
#: Bytes that may be taken without a question: an ordinary photo.
SMALL = 16 * 2**20
#: Bytes above which a process ends behind its answer, so that its memory is given back.
SPENT = 64 * 2**20
#: Bytes of addresses beside what a picture takes: libraries, their threads, a band of a picture.
SLACK = 256 * 2**20 + (os.cpu_count() or 1) * 16 * 2**20

Message = tuple[dict[str, Any], bytes]


class NoRoom(ImageError):
    """The service has no room for so large a picture now."""


def pack(about: dict[str, Any], content: bytes = b"") -> bytes:
    """The beginning of a message, up to its content."""
    text = json.dumps(about).encode()
    return LENGTHS.pack(len(text), len(content)) + text


def need(image: Image.Image, full: tuple[int, int]) -> int:
    """Bytes that a picture takes while it is decoded, about.

    Args:
        image: It is opened, and its pixels are not read.
        full: Width and height in the file.
    """
    takes = DEEP if is_deep(raw_mode(image)) else TAKES.get(image.format or "", 4)
    size = takes * image.width * image.height
    if image.info.get("progressive"):
        size += PROGRESSIVE * full[0] * full[1]
    return size


class Desk:
    """Where jobs come in and answers go out.

    Args:
        jobs: Gives messages.
        answers: Takes them.
    """

    def __init__(self, jobs: BinaryIO, answers: BinaryIO):
        self.jobs, self.answers = jobs, answers
        self.taken = 0
        self.limit, self.own = 0, addresses()

    def receive(self) -> Message | None:
        """The next message; `None` if the service has ended."""
        lengths = self.jobs.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return None
        about, content = (self.jobs.read(length) for length in LENGTHS.unpack(lengths))
        return (json.loads(about), content) if about.endswith(b"}") else None

    def send(self, about: dict[str, Any], content: bytes = b"") -> None:
        """Send a message."""
        self.answers.write(pack(about, content) + content)
        self.answers.flush()

    def admit(self, image: Image.Image, full: tuple[int, int]) -> None:
        """Ask for room, if a picture takes much.

        Raises:
            NoRoom: There is none now.
        """
        self.taken = need(image, full)
        if self.taken > SMALL:
            self.limit_memory(2 * self.taken)
            self.send({"needs": self.taken})
            said = self.receive()
            if said is None or not said[0]["go"]:
                self.taken = 0
                raise NoRoom("no room")

    def limit_memory(self, more: int) -> None:
        """Let the process take so many bytes more than at its start, and some slack."""
        if self.own and more != self.limit:
            import resource

            self.limit = more
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            with contextlib.suppress(ValueError):  # it is lower already
                resource.setrlimit(resource.RLIMIT_AS, (self.own + more + SLACK, hard))

    def do(self, about: dict[str, Any], content: bytes) -> Message:
        """Do a job; the answer."""
        self.taken = 0
        self.limit_memory(2 * SMALL)
        begin = time.perf_counter()
        try:
            with ends_after(about["seconds"]):
                answer, body = WORK[about["work"]](about, content, self.admit)
        except SsahError as error:
            answer, body = {"error": type(error).__name__, "message": str(error)}, b""
        return {**answer, "took": time.perf_counter() - begin, "last": self.taken > SPENT}, body


def pixels(about: dict[str, Any], content: bytes, admit: Admit) -> Message:
    """What an encoder sees of an uploaded image, and the picture for people if it is asked for."""
    name, limit, lines = about["name"], about["max_pixels"], list[str]()
    found = decode(content, about["size"], name, limit, admit, lines.append)
    drawn = b""
    if about["preview"]:
        with contextlib.suppress(ImageError):  # there is no room for it
            drawn = whole(content, PREVIEW, name, limit)
    return {"pixels": found.nbytes, "damaged": "".join(lines)}, found.tobytes() + drawn


def drawing(draw: Callable[[BinaryIO, str, Admit], bytes]) -> Callable[..., Message]:
    """Draws a photo of the index."""

    def work(about: dict[str, Any], content: bytes, admit: Admit) -> Message:
        with open_inside(about["path"], about["roots"]) as stream:
            drawn = draw(stream, os.path.basename(about["path"]), admit)
            return {"stamp": stamp_of(stream)}, drawn

    return work


WORK = {"pixels": pixels, "thumbnail": drawing(thumbnail), "large": drawing(large)}


def addresses() -> int:
    """Bytes of addresses that the process has, which `RLIMIT_AS` counts; 0 where it is unknown."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


@contextlib.contextmanager
def ends_after(seconds: float) -> Iterator[None]:
    """End the process if the block lasts longer, whatever it does: the service may be gone."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Work until the service closes stdin, which it does however it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the service, which ends this
        signal.signal(number, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    with os.fdopen(os.dup(0), "rb") as jobs, os.fdopen(answers, "wb") as out:
        desk = Desk(jobs, out)
        with contextlib.suppress(BrokenPipeError):
            desk.send({"ready": True})
            while (job := desk.receive()) is not None:
                answer, body = desk.do(*job)
                desk.send(answer, body)
                if answer["last"]:
                    break
        os._exit(0)  # nothing is left to do, and a pipe may be broken
