"""Reading files that may be damaged or hostile: data alone, nothing in them is run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def parse_json(content: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: Not JSON, or nested deeper than a parser can go.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_arrays(path: str | Path) -> "dict[str, np.ndarray]":
    """The arrays of an `.npz` file by name; pickled ones are refused.

    Raises:
        ValueError: Not such a file.
        OSError: It cannot be read.
    """
    import numpy as np

    try:
        # NumPy leaves a damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except OSError:
        raise
    # zipfile, zlib, tokenize and NumPy's parser of headers each raise their own.
    except Exception as error:
        raise ValueError(f"not a file of arrays ({type(error).__name__})") from None


def read_array(path: str | Path, mapped: bool = False) -> "np.ndarray":
    """The array of an `.npy` file, on disk until it is needed if `mapped`. See `read_arrays`."""
    import numpy as np

    try:
        if mapped:
            array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
            return array
        with open(path, "rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"not a file of an array ({type(error).__name__})") from None
    return array
