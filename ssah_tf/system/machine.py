"""What the machine refuses, in one line: room on a disk, permission, memory."""

import errno
import os
import shutil
from pathlib import Path

from ssah_tf.system.errors import RunError

#: Errors of files that no bug of ours makes.
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
#: How errors of TensorFlow begin that are the same, and what they mean.
MEANING = {
    "ResourceExhaustedError": errno.ENOSPC,
    "PermissionDeniedError": errno.EACCES,
}


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was asked for that is not there, on a CPU or a GPU."""
    if isinstance(error, MemoryError) or "MemoryError" in str(error):  # of a decoder of tf.data
        return True
    exhausted = type(error).__name__ in ("ResourceExhaustedError", "InternalError")
    return exhausted and any(w in str(error) for w in ("OOM", "out of memory", "OutOfMemory"))


def refusal(error: BaseException) -> str | None:
    """The line for a person, or `None` if the error is none of the machine."""
    if out_of_memory(error):
        return "not enough memory; close other programs, or ask for less at a time"
    if isinstance(error, OSError):
        if error.errno not in REFUSALS:
            return None
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{place}{error.strerror}"
    if type(error).__module__.startswith("tensorflow") and type(error).__name__ in MEANING:
        return f"{os.strerror(MEANING[type(error).__name__])} ({str(error)[-300:]})"
    return None


def need_memory(size: int, what: str) -> None:
    """Refuse to begin what cannot fit into memory: Linux would not say no, but kill somebody later.

    Args:
        size: Bytes that it takes at least.
        what: What it is, and what to do, for the message.

    Raises:
        RunError: The machine has less memory.
    """
    if not hasattr(os, "sysconf"):  # Windows
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > there:
        raise RunError(
            f"not enough memory: {size / 2**30:,.0f} GiB are needed at least and "
            f"{there / 2**30:,.0f} GiB are there, for {what}"
        )


def need_room(path: Path, size: int) -> None:
    """Refuse to begin a file that the disk has no room for.

    HDF5 does not survive a full disk: it prints pages of errors, and now and then crashes.

    Args:
        path: The file to write.
        size: Bytes that it will have at most.

    Raises:
        RunError: There is less room.
    """
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise RunError(
            f"{path}: {os.strerror(errno.ENOSPC)} ({size / 2**20:.0f} MiB are needed, "
            f"{free / 2**20:.1f} MiB are free)"
        )
