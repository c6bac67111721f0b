"""Moving a file so that nothing is overwritten, and that at no moment it is nowhere.

First the file gets its new name, then it loses the old one: by a hard link where the file system
has them; else, as across file systems, by a copy that is read again and compared.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import checksum

#: What is answered where no hard link can be made: across file systems, on FAT, of files of others.
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: How the names of copies end that are not whole yet; they begin with a point, so that no scan
#: takes them for photos.
PART = ".ssah-part"
#: Bytes that are copied in one go.
BLOCK = 2**20


class Changed(SsahError):
    """A file that is not what it was when it was looked at."""


def move(source: Path, target: Path, digest: str | None = None) -> None:
    """Move a regular file to a name that is free; its folder is made if need be.

    Killed at any moment, the file is whole under one of the names, or under both.

    Args:
        source: The file; links are refused.
        target: Its new name.
        digest: SHA-256 that its content must have, hexadecimal.

    Raises:
        Changed: It is gone, is no regular file, or has another content; nothing was moved.
        FileExistsError: The name is taken.
        OSError: It cannot be moved; it is where it was.
    """
    with opened(source) as stream:
        found = os.fstat(stream.fileno())
        if digest is not None and hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise changed(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
            linked = True
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            copy(stream, source, target)
            linked = False
        try:
            if linked and not os.path.samestat(os.lstat(target), found):
                raise changed(source)
            sync_folder(target.parent)
            if not as_found(source, found):
                raise changed(source)
            os.unlink(source)
        except (OSError, Changed):
            with suppress(OSError):
                os.unlink(target)
            raise
        with suppress(OSError):  # at worst both names are there after a loss of power
            sync_folder(source.parent)


def settle(source: Path, target: Path, interrupted: bool) -> None:
    """Move a file where an earlier, killed move may have left it under both names.

    Args:
        source: The file.
        target: A name for which `is_free` holds.
        interrupted: Whether a move was killed: a file of the same content is then a copy of ours.

    Raises:
        Changed, OSError: See `move`.
    """
    if not (os.path.lexists(target) and is_free(target, source, interrupted)):
        move(source, target)
    elif not os.path.samefile(source, target) or os.lstat(source).st_nlink > 1:
        os.unlink(source)  # with one link alone both names are one, of a folder mounted twice


def is_free(target: Path, source: Path, interrupted: bool = False) -> bool:
    """Whether a name is free for a file: nothing has it, or the file itself. See `settle`."""
    if not os.path.lexists(target):
        return True
    if os.path.islink(target) or not os.path.isfile(target):
        return False
    if os.path.samefile(source, target):
        return True
    same_size = os.path.getsize(source) == os.path.getsize(target)
    return interrupted and same_size and checksum(source) == checksum(target)


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file that is no link.

    Raises:
        Changed: It is something else, or gone.
        OSError: It cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise changed(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise changed(path)
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def copy(stream: BufferedReader, source: Path, target: Path) -> None:
    """Copy an open file to a free name, with its times and rights; there it is whole or not at all.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be written, or reads differently.
    """
    part = part_of(target)
    part.unlink(missing_ok=True)
    stream.seek(0)
    digest = hashlib.sha256()
    try:
        with open(part, "xb") as out:
            while block := stream.read(BLOCK):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
            if hasattr(os, "posix_fadvise"):  # so that the disk is read, not the memory
                os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with suppress(OSError):  # some file systems have no rights
            shutil.copystat(source, part)
        if checksum(part) != digest.hexdigest():
            raise OSError(errno.EIO, "the copy differs from the file")
        publish(part, target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Give a whole copy its name, if that is free.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be given.
    """
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.rename(part, target)


def part_of(target: Path) -> Path:
    """The name of a copy until it is whole, always the same and never too long."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".{name}{PART}")


def as_found(path: Path, found: os.stat_result) -> bool:
    """Whether a name is still that of a file, and the file as it was."""
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        return False
    same = (now.st_size, now.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    return same and os.path.samestat(now, found)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where a system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def changed(path: Path) -> Changed:
    """The error of a file that is not what it was."""
    return Changed(f"{path} is gone or has changed since it was compared: run `ssah index` again")
