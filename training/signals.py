"""Ctrl-C and SIGTERM while a training runs: noted, so that it can end in good order."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

#: Ctrl-C, and what schedulers send some seconds before they kill.
CAUGHT = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Notes the first signal while the block runs; the second one does what it does elsewhere.

    Python gives signals to the main thread alone: in another one nothing is caught. What the
    process was told to ignore (`nohup`, jobs in the background) stays ignored.

    Attributes:
        received: Number of the signal, `None` as long as there was none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in CAUGHT:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def note(self, number: int, frame: FrameType | None) -> None:
        """Keep the number, and let the next signal through."""
        self.received = number
        self.__exit__()
        # Not print(): the signal may have come while something else was printing.
        os.write(2, b"\nssah: stopping after this batch, with a checkpoint; again: at once\n")
