"""Ctrl-C and SIGTERM: what runs ends soon, with one line; a second signal ends it at once.

Python calls its handlers in the main thread alone, between two steps of Python. While that thread
waits for TensorFlow, or for a decoder, nothing would happen. So a thread of our own hears of each
signal, too: it tells the loops of other threads to end, and ends the process where the main thread
does not come back.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, Self

from ssah_tf.system.errors import Stopped

#: Ctrl-C, and what schedulers send some seconds before they kill.
CAUGHT = (signal.SIGINT, signal.SIGTERM)
#: Seconds that the main thread may stay in other people's code after a signal.
PATIENCE = 1.2
#: How to go on with what leaves nothing half written, and begins anew.
BEGIN_AGAIN = "give the same command again"
#: Puts the cursor back, which a progress bar has hidden.
SHOW_CURSOR = b"\033[?25h"

_ending = threading.Event()


def raise_if_ending() -> None:
    """End a long loop in any thread if a signal ends the program; to be called in each turn.

    Raises:
        KeyboardInterrupt: It does.
    """
    if _ending.is_set():
        raise KeyboardInterrupt


@contextmanager
def ends_on_signals(how: str) -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the block with a line that says how to go on.

    Blocks may stand within each other: the innermost one says how. In another thread than the main
    one nothing is caught, and what the process was told to ignore (`nohup`, jobs in the background)
    stays ignored.

    Args:
        how: How to go on.

    Raises:
        Stopped: Ctrl-C or SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outermost = Watch.running is None
    watch = Watch.running or Watch()
    if outermost:
        watch.begin()
    watch.how.append(how)
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise watch.stopped() from None
    except Exception:  # of a loop in another thread that was told to end
        if not _ending.is_set():
            raise
        raise watch.stopped() from None
    finally:
        watch.how.pop()
        if outermost:
            watch.end()


class Watch:
    """Hears of signals, in the main thread and in one of its own, from `begin` to `end`.

    Attributes:
        how: How to go on, of the outermost block first.
        received: Number of the first signal.
        note: What to do with a first signal instead of ending; see `StopSignals`.
    """

    running: "Watch | None" = None

    def __init__(self) -> None:
        self.how: list[str] = []
        self.received: int | None = None
        self.note: Callable[[int], None] | None = None
        self.heard = threading.Event()
        self.before: dict[int, Any] = {}
        self.thread = threading.Thread(target=self.watch, name="signals", daemon=True)

    def begin(self) -> None:
        """Take the signals."""
        self.near, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.wakeup = signal.set_wakeup_fd(self.far.fileno(), warn_on_full_buffer=False)
        self.before = take_signals(self.hear)
        self.thread.start()
        Watch.running = self

    def end(self) -> None:
        """Give them back."""
        Watch.running = None
        give_back(self.before)
        signal.set_wakeup_fd(self.wakeup)
        self.far.send(b"\0")
        self.thread.join()
        self.near.close()
        self.far.close()
        _ending.clear()

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, in the main thread."""
        self.heard.set()
        if self.note is not None and not _ending.is_set():
            if self.received is None:
                self.note(number)
            self.received = number
            return
        self.received = self.received or number
        _ending.set()
        raise KeyboardInterrupt

    def stopped(self) -> Stopped:
        """What the program ends with."""
        number = self.received or signal.SIGINT
        return Stopped(self.line(number), number)

    def line(self, number: int) -> str:
        """What happened, and how to go on."""
        word = "stopped" if number == signal.SIGTERM else "interrupted"
        return f"{word}; {self.how[-1] if self.how else BEGIN_AGAIN}"

    def watch(self) -> None:
        """Wait for signals, in a thread of its own."""
        count, number, deadline = 0, 0, None
        while True:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.near], [], [], wait)[0]:
                if not self.heard.is_set():
                    self.exit(number)
                deadline = None
                continue
            for number in self.near.recv(64):
                if number == 0:
                    return
                # A server takes the signals for itself: see `ssah_tf.cli.serve`.
                if number not in CAUGHT or signal.getsignal(number) != self.hear:
                    continue
                count += 1
                if count > 1:
                    self.exit(number)
                if self.note is None:
                    _ending.set()
                    deadline = time.monotonic() + PATIENCE

    def exit(self, number: int) -> NoReturn:
        """End the process: all that is written is written so that a kill does no harm."""
        for stream in (1, 2):
            if os.isatty(stream):
                os.write(stream, SHOW_CURSOR)
        os.write(2, f"\nssah: {self.line(number)}\n".encode(errors="backslashreplace"))
        os._exit(128 + number)


class StopSignals:
    """Notes the first signal while the block runs, so that a step of work can be done to its end.

    The second signal ends the program at once, or does what it does elsewhere where nobody watches
    the signals. See `ends_on_signals` for what is not caught.

    Args:
        what: What a person is told that is done first.

    Attributes:
        received: Number of the signal, `None` as long as there was none.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            if Watch.running is not None:
                Watch.running.note = self.note
            else:
                self.before = take_signals(lambda number, frame: self.note(number))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.let_go()
        if kind is None and self.received is not None:
            raise KeyboardInterrupt  # nobody has looked since the signal came

    def let_go(self) -> None:
        """Handle no further signal."""
        if Watch.running is not None:
            Watch.running.note = None
        give_back(self.before)
        self.before = {}

    def note(self, number: int) -> None:
        """Keep the number, and let the next signal through."""
        self.received = number
        if Watch.running is None:
            self.let_go()
        # Not print(): the signal may have come while something else was printing.
        os.write(2, f"\nssah: {self.what}; again: at once\n".encode())


def take_signals(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers,
) -> dict[int, Any]:
    """Handle the signals that are not ignored; the handlers that they had before."""
    taken = [n for n in CAUGHT if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    return {number: signal.signal(number, handler) for number in taken}


def give_back(before: dict[int, Any]) -> None:
    """Undo `take_signals`."""
    for number, handler in before.items():
        signal.signal(number, handler)
