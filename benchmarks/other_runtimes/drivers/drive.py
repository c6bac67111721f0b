"""What all drivers do. Needs NumPy alone, since each driver runs in an environment of its own.

    python DRIVER FILE WORK PASSES

reads `WORK/images.npy`, uint8 `(n, size, size, 3)`; writes `WORK/codes.npy`, packed codes, uint8
`(n, bytes)`; and prints a line of JSON: seconds of processor time an image, one number a pass over
the first `BATCH` images.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Images at once.
BATCH = 16


def drive(prepare: Callable[[Path, Path], Callable[[np.ndarray], np.ndarray]]) -> None:
    """Run a runtime.

    Args:
        prepare: Given the encoder's file and a folder for what it is converted to, gives what turns
            uint8 `(BATCH, size, size, 3)` into packed codes, uint8 `(BATCH, bytes)`.
    """
    file, work, passes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    images = np.load(work / "images.npy")
    run = prepare(file, work)
    parts = [np.asarray(run(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
    np.save(work / "codes.npy", np.concatenate(parts))
    seconds = []
    for _ in range(passes):
        began = time.process_time()
        run(images[:BATCH])
        seconds.append((time.process_time() - began) / BATCH)
    print(json.dumps(seconds))


def pack(logits: np.ndarray) -> np.ndarray:
    """Packed codes of logits `(n, bits)`."""
    return np.packbits(logits >= 0, axis=1)
