"""One process at a time in a folder; a killed process leaves no lock behind."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ssah_tf.system.errors import RunError

#: What a file system answers that knows no locks; there the user has to take care alone.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
#: Seconds after which one that waits tries again.
PAUSE = 0.1


@contextmanager
def only_one(
    path: Path, what: str | Path, wait: bool = False, option: str = "--output"
) -> Iterator[None]:
    """Keep other processes out while the block runs.

    The lock is the kernel's (`flock`), so it ends with the process, however that ends. The file
    only carries it, and is removed with it.

    Args:
        path: The lock file; its folder is made if need be.
        what: What is locked, for the message.
        wait: Until another process has let go, instead of an error.
        option: By which another one can be named, for the message.

    Raises:
        RunError: Another process holds the lock, or the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = open(path, "a+")  # noqa: SIM115  closed below: it is the lock
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait:
                stream.close()
                time.sleep(PAUSE)
                continue
            stream.seek(0)
            owner = stream.read().strip() or "unknown"
            stream.close()
            raise RunError(
                f"{what} is in use by another process (number {owner}): wait until it has ended, "
                f"or name another {option}"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                stream.close()
                raise RunError(f"{path}: cannot be locked ({error.strerror})") from None
        if is_open_as(path, stream):
            break
        stream.close()  # its owner removed the file between our two calls: take the new one
    try:
        with suppress(OSError):  # for the message alone: a full disk is met where it matters
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()


def is_open_as(path: Path, stream: IO[str]) -> bool:
    """Whether the file at a path is the one that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
