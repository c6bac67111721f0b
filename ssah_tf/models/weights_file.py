"""Files of weights of strangers: nothing in them is taken from elsewhere."""

from pathlib import Path
from typing import IO

import h5py


def check_weights(file: Path | IO[bytes]) -> None:
    """Refuse an HDF5 file that takes values from elsewhere.

    Raises:
        ValueError: It has a link, or an array in another file.
        OSError: Not an HDF5 file.
    """
    with h5py.File(file) as weights:
        pending = [weights]
        while pending:
            group = pending.pop()
            for name in group:
                link = group.get(name, getlink=True)
                item = group[name] if isinstance(link, h5py.HardLink) else None
                if isinstance(item, h5py.Group):
                    pending.append(item)
                elif not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
                    raise ValueError(f"{name!r} points out of the file")
