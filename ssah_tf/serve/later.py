"""What is computed beside the requests, from when it is first asked for."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ssah_tf.system.errors import SsahError

T = TypeVar("T")
#: Is called with how much is done, and how much there is.
Tell = Callable[[int, int], None]


class NotYet(SsahError):
    """What is asked for is still being computed; the message says how far it is."""


class Stopped(Exception):
    """The service ends."""


class Later(Generic[T]):
    """Something that takes a while, computed once in a thread.

    Args:
        compute: Computes it.
        what: Is being done then, as people call it.
    """

    def __init__(self, compute: Callable[[Tell], T], what: str):
        self.compute = compute
        self.what = what
        self.lock = threading.Lock()
        self.found: list[T] = []
        self.error: SsahError | None = None
        self.thread: threading.Thread | None = None
        self.far = (0, 0)
        self.ending = False

    def __call__(self) -> T:
        """It, if it is there; it is begun to be computed if it is not.

        Raises:
            NotYet: It is being computed.
            SsahError: That went wrong; the next call begins anew.
        """
        with self.lock:
            if self.found:
                return self.found[0]
            if self.error is not None:
                error, self.error, self.thread = self.error, None, None
                raise error
            if self.thread is None:
                self.thread = threading.Thread(target=self.work, name=self.what, daemon=True)
                self.thread.start()
            done, total = self.far
        raise NotYet(f"{self.what}: {done:,} of {total:,}" if total else self.what)

    def work(self) -> None:
        """Compute it."""
        try:
            self.found.append(self.compute(self.tell))
        except Stopped:
            pass
        except SsahError as error:
            self.error = error
        except BaseException as error:
            self.error = SsahError(f"{self.what}: an error of ours ({type(error).__name__})")
            raise

    def tell(self, done: int, total: int) -> None:
        """Note how far it is.

        Raises:
            Stopped: The service ends.
        """
        if self.ending:
            raise Stopped
        self.far = (done, total)

    def close(self) -> None:
        """Give it up, if it is being computed."""
        self.ending = True
        if self.thread is not None:
            self.thread.join()
