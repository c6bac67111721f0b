"""Hears that something has changed below folders, as far as the system tells.

A network drive tells nothing of what other machines do, so who listens looks now and then as well.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    from watchdog import events

#: Seconds after which it is looked whether a folder is another one, as when a disk was mounted.
PULSE = 5.0


class FolderEvents:
    """Listens while the block runs.

    Args:
        folders: Folder -> whether the folders below it count, too. Links in them are not followed.
        matters: Whether a change counts: of the folder that is listened to (links resolved), of a
            path in it, and whether that is a folder.
        deaf: Called with a line for each folder that the system cannot listen to.
    """

    def __init__(
        self,
        folders: Mapping[str, bool],
        matters: Callable[[str, str, bool], bool],
        deaf: Callable[[str], None],
    ):
        try:
            from watchdog import events, observers
        except ImportError:
            raise SsahError(
                "to watch folders needs watchdog: pip install 'ssah-tf[search]'"
            ) from None
        # Of folders that come one in the other, watchdog 7.1 may listen to the inner one twice for
        # a moment. The second time takes the place of the first, and it warns of that.
        warnings.filterwarnings("ignore", "Callback with id .* already exists", RuntimeWarning)
        self.folders, self.matters, self.deaf = folders, matters, deaf
        self.kinds = [
            *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileMovedEvent),
            *(events.FileDeletedEvent, events.FileClosedEvent),
            *(events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent),
        ]
        self.handler_class = events.FileSystemEventHandler
        self.observer = observers.Observer()
        self.heard = threading.Event()
        # Folder -> which folder of the disk is listened to, and how to end that.
        self.listened: dict[str, tuple[tuple[int, int] | None, Any]] = {}

    def __enter__(self) -> Self:
        self.observer.start()
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        self.observer.stop()
        self.observer.join()

    def renew(self) -> bool:
        """Listen to folders that are there now, or are others now; whether there were such."""
        renewed = False
        for folder, recursive in self.folders.items():
            found = identity(folder)
            before, watch = self.listened.get(folder, (None, None))
            if found == before:
                continue
            renewed = True
            if watch is not None:
                self.observer.unschedule(watch)
            self.listened[folder] = found, self.listen(folder, recursive) if found else None
        return renewed

    def listen(self, folder: str, recursive: bool) -> Any:
        """Begin to listen to a folder; `None` if the system cannot."""
        place = os.path.realpath(folder)
        handler = self.handler_class()
        handler.on_any_event = partial(self.hear, place)  # type: ignore[method-assign]
        try:
            return self.observer.schedule(
                handler, place, recursive=recursive, event_filter=self.kinds
            )
        except OSError as error:  # mostly: more folders than a user may listen to
            self.deaf(
                f"{printable(folder)}: the system does not tell of changes ({error.strerror})"
            )
            return None

    def hear(self, place: str, event: "events.FileSystemEvent") -> None:
        """Note a change, if it counts; in a thread of the observer."""
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if any(self.matters(place, path, event.is_directory) for path in paths):
            self.heard.set()

    def wait(self, seconds: float) -> bool:
        """Wait until something has changed since `forget`, or for a time.

        Returns:
            Whether something has changed.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.heard.wait(min(left, PULSE)) or self.renew():
                return True
        return False

    def forget(self) -> None:
        """What has changed until now is known."""
        self.renew()
        self.heard.clear()


def identity(folder: str) -> tuple[int, int] | None:
    """Which folder of which disk a path leads to; `None` if to none."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino
