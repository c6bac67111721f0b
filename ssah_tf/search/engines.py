"""What a search of distinct codes runs on; positions are those of the codes as given.

Every engine gives the same answer in the same order: by distance, then by position.
"""

import importlib.util
from collections.abc import Callable
from typing import Protocol

import numpy as np

from ssah_tf.search.scan import FaissScan, NumpyScan, PositionsDistances, Scan
from ssah_tf.search.tabled import FROM, TabledEngine
from ssah_tf.system.errors import SsahError


class Engine(Protocol):
    """What a search runs on."""

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest codes.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: At most the number of codes.

        Returns:
            Positions int64 `(q, k)` and distances int32 `(q, k)`.
        """

    def within(self, queries: np.ndarray, radius: int) -> list[PositionsDistances]:
        """All codes up to a distance, `radius` included: positions and distances a query."""


#: Name of an engine -> what compares the codes.
ENGINES: dict[str, Callable[[np.ndarray], Scan]] = {"numpy": NumpyScan, "faiss": FaissScan}


def make_engine(name: str, codes: np.ndarray) -> Engine:
    """An engine over codes: "numpy", "faiss", or "auto", FAISS where it is installed.

    Raises:
        SsahError: No such engine, or FAISS is not installed.
    """
    installed = importlib.util.find_spec("faiss") is not None
    if name == "auto":
        name = "faiss" if installed else "numpy"
    if name not in ENGINES:
        raise SsahError(f"engine {name!r}: choose from auto, {', '.join(ENGINES)}")
    if name == "faiss" and not installed:
        raise SsahError("engine faiss needs FAISS: pip install 'ssah-tf[search]'")
    scan, width = ENGINES[name](codes), codes.shape[1]
    many = FROM <= len(codes) < 1 << 30  # tables number their places in 32 bits
    return TabledEngine(scan, 8 * width) if many and 4 < width <= 8 else scan
