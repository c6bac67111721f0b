"""Original files, where the user allows that they leave: whole, and as they were indexed."""

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO
from urllib.parse import quote

from starlette.responses import StreamingResponse

from ssah_tf.data.formats import HEAD, format_of
from ssah_tf.search.photo_table import Photo
from ssah_tf.serve.pictures import Refused, open_inside
from ssah_tf.system.text import as_unicode

#: Bytes that are read or sent at a time, and that a copy has in memory at most.
BLOCK, IN_MEMORY = 2**18, 32 * 2**20
#: A file is shown by itself and can run nothing, whatever is in it.
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
#: What a browser is told of a file that it is not to show.
UNKNOWN = "application/octet-stream"


def checked_copy(photo: Photo, roots: Sequence[str]) -> IO[bytes]:
    """A copy of the file of a photo, at its beginning: what is sent is what was compared.

    Args:
        photo: It has the digest and the size of the file when it was indexed.
        roots: See `open_inside`.

    Raises:
        Refused: The file is gone, lies elsewhere, cannot be read, or has another content now.
    """
    # It is closed by whoever takes it.
    copy = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    try:
        digest, left = sha256(), photo.size + 1
        with open_inside(photo.path, roots) as stream:
            while left > 0 and (block := stream.read(min(BLOCK, left))):
                digest.update(block)
                copy.write(block)
                left -= len(block)
        if digest.hexdigest() != photo.digest:
            raise Refused("the file of this photo is not what it was: run `ssah index` again")
        copy.seek(0)
        return copy
    except OSError as error:
        copy.close()
        reason = error.strerror or type(error).__name__
        raise Refused(f"the file of this photo cannot be read ({reason})") from None
    except BaseException:
        copy.close()
        raise


def as_answer(copy: IO[bytes], photo: Photo, shown: bool) -> StreamingResponse:
    """A file as an answer.

    Args:
        copy: Of the file; it is closed when it is sent.
        photo: The photo.
        shown: Whether a browser may show it; else it keeps the file.
    """
    found = format_of(copy.read(HEAD))
    copy.seek(0)
    name = quote(as_unicode(os.path.basename(photo.path)), safe="")
    how = "inline" if shown else "attachment"
    return StreamingResponse(
        blocks(copy),
        media_type=found.media[0] if found and found.media else UNKNOWN,
        headers={
            "content-disposition": f"{how}; filename*=UTF-8''{name}",
            "content-length": str(photo.size),
            "content-security-policy": SANDBOX,
            "cache-control": "no-store",
        },
    )


def blocks(copy: IO[bytes]) -> Iterator[bytes]:
    """A file, some bytes at a time; it is closed afterwards."""
    with copy:
        while block := copy.read(BLOCK):
            yield block
