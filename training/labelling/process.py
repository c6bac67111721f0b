"""Rounds of labelling in a process of its own, so that a page stays quick meanwhile.

TensorFlow is imported there alone.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ssah_tf.data import ImageSet
from ssah_tf.data.label_round import Outcome, Progress, Task
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import make_folder
from ssah_tf.system.machine import refusal
from ssah_tf.training.labelling.photos import new_photos, with_more

#: What the process prints is kept in this file of the working folder.
LOG = "learning.log"
#: The map is kept in this one.
MAP = "map.npz"


class Process:
    """Learns in a process that begins with the first task, and again if it has ended.

    Args:
        images: The photos.
        work: Working folder.
        overrides: What is changed in the recipe.
        count: Photos to suggest at once.
        done: Is called with each `Outcome`, in a thread.
        exclude: Patterns of what is no photo, when new ones are looked for; see `scan.Exclude`.
    """

    def __init__(
        self,
        images: ImageSet,
        work: Path,
        overrides: tuple[str, ...],
        count: int,
        done: Callable[[Outcome], None],
        exclude: Sequence[str] = (),
    ):
        self.images = images
        self.given = work, overrides, count, exclude
        self.done = done
        self.now = Progress()
        self.process: Any = None
        self.near: Connection | None = None

    def begin(self, task: Task) -> None:
        """Begin a task; the one before is done."""
        self.now = Progress("starting")
        if self.process is None or not self.process.is_alive():
            context = multiprocessing.get_context("spawn")
            self.near, far = context.Pipe()
            self.process = context.Process(
                target=work_on, args=(far, self.images, *self.given), daemon=True
            )
            self.process.start()
            far.close()
        threading.Thread(target=self.listen, args=(task,), name="learning", daemon=True).start()

    def listen(self, task: Task) -> None:
        """Hand over a task, and hear how it goes."""
        near = self.near
        assert near is not None
        try:
            near.send(task)
            while isinstance(said := near.recv(), Progress):
                self.now = said
            outcome = said
            self.images = with_more(self.images, outcome.added)  # for a process that begins again
        except (OSError, EOFError):
            self.process.join(5)
            outcome = Outcome(error=f"learning has ended early; {LOG} may say why")
        try:
            self.done(outcome)
        finally:
            self.now = Progress()

    def progress(self) -> Progress:
        """How far the task is."""
        return self.now

    def close(self) -> None:
        """End the process; features that are computed are kept."""
        if self.process is not None:
            self.process.kill()
            self.process.join()


def work_on(
    far: Connection,
    images: ImageSet,
    work: Path,
    overrides: tuple[str, ...],
    count: int,
    exclude: Sequence[str],
) -> None:
    """Do one task after another, until the other end is closed.

    Args:
        far: Gives tasks; takes `Progress` and `Outcome`.
        images: The photos.
        work: Working folder.
        overrides: What is changed in the recipe.
        count: Photos to suggest at once.
        exclude: See `Process`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    make_folder(work)
    log = os.open(work / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)

    @contextmanager
    def bars(what: str) -> Iterator[Callable[[int, int], None]]:
        far.send(Progress(what))
        yield lambda done, total: far.send(Progress(what, done, total))

    rounds: Any = None
    while True:
        try:
            task = far.recv()
        except (OSError, EOFError):
            return
        try:
            if rounds is None:
                from ssah_tf.encoding.feature_parts import features_in
                from ssah_tf.training.hash_layer.feature_store import FeatureStore
                from ssah_tf.training.labelling.learn import Rounds

                store = FeatureStore(features_in(work), bars)
                find_new = partial(new_photos, exclude=exclude)
                rounds = Rounds(images, store, overrides, bars, work / MAP, find_new)
            outcome = rounds.do(task, count)
        except Exception as error:
            line = str(error) if isinstance(error, SsahError) else refusal(error)
            if line is None:
                raise
            outcome = Outcome(error=line)
        far.send(outcome)
