"""What every index of codes can do, wherever it keeps them.

A *full code* is a packed code with the packed appearance code behind it, if the index has those.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from ssah_tf.metrics.hamming import check_codes, code_bytes, full_bytes
from ssah_tf.system.errors import SsahError

#: Ids int64 `(m,)` and distances int32 `(m,)` of one query.
IdsDistances = tuple[np.ndarray, np.ndarray]
#: Ids int64 `(m,)` and their full codes uint8 `(m, bytes)`.
IdsCodes = tuple[np.ndarray, np.ndarray]


class Index(ABC):
    """Finds the nearest codes by Hamming distance, always exactly.

    Queries with appearance codes get results in the order of (distance, appearance distance, id),
    others in that of (distance, id). This class checks what it is given; a subclass keeps codes and
    finds them.

    Attributes:
        bits: Length of a code.
        model_id: Of the encoder that the codes come from.
        appearance_bits: Length of an appearance code; 0 for none.
    """

    bits: int
    model_id: str
    appearance_bits: int = 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of ids."""

    @abstractmethod
    def __contains__(self, number: int) -> bool:
        """Whether an id is there."""

    @abstractmethod
    def items(self) -> Iterator[IdsCodes]:
        """Ids int64 `(m,)`, ascending, and their full codes uint8 `(m, bytes)`, some at a time."""

    def codes_of(self, ids: npt.ArrayLike) -> IdsCodes:
        """Those of some ids, each given once, that are there, ascending, and their full codes."""
        wanted, width = as_ids(ids), full_bytes(self.bits, self.appearance_bits)
        found = [(np.zeros(0, np.int64), np.zeros((0, width), np.uint8))]
        for some, codes in self.items():
            there = np.isin(some, wanted, assume_unique=True)
            found.append((some[there], codes[there]))
        numbers, parts = zip(*found, strict=True)
        return np.concatenate(numbers), np.concatenate(parts)

    def subset(self, ids: np.ndarray) -> "Index | None":
        """An index in memory of some ids, for many searches; `None` where the codes are elsewhere.

        Args:
            ids: int64 `(m,)`, ascending, all of them in the index.
        """
        return None

    def close(self) -> None:
        """Let go of connections. What was added is kept where the engine keeps it by itself."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, ids: npt.ArrayLike, codes: np.ndarray) -> None:
        """Add codes under new ids.

        Args:
            ids: int64 `(m,)`, each once, none of them in the index.
            codes: Full codes, uint8 `(m, bytes)`.

        Raises:
            SsahError: An id is there already or comes twice, or the codes do not fit.
        """
        numbers, codes = self._checked(ids, codes)
        if len(numbers):
            self._add(numbers, codes)

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove ids and their codes.

        Raises:
            SsahError: An id is not in the index.
        """
        numbers = np.unique(as_ids(ids))
        if len(numbers):
            self._remove(numbers)

    def update(self, ids: npt.ArrayLike, codes: np.ndarray) -> None:
        """Give ids new codes.

        Raises:
            SsahError: An id is not in the index or comes twice, or the codes do not fit.
        """
        numbers, codes = self._checked(ids, codes)
        if len(numbers):
            self._update(numbers, codes)

    def search(
        self, queries: np.ndarray, k: int, among: npt.ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of the index for each query.

        Args:
            queries: Full codes, uint8 `(q, bytes)`; or packed codes alone, for the order of ids.
            k: How many; no more than there are come back.
            among: The only ids to look at; those that are not in the index are passed over.

        Returns:
            ids int64 `(q, min(k, n))` and distances int32 of that shape, each row ordered by
            (distance, appearance distance, id), or by (distance, id).

        Raises:
            SsahError: The codes do not fit, or k is below 1.
        """
        queries = self._queries(queries)
        if k < 1:
            raise SsahError(f"k must be at least 1. Received: {k}")
        if not len(queries):
            return np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int32)
        return self._search(queries, k, None if among is None else np.unique(as_ids(among)))

    def range_search(
        self, queries: np.ndarray, radius: int, among: npt.ArrayLike | None = None
    ) -> list[IdsDistances]:
        """Everything up to a distance, the radius included.

        Args:
            queries: As for `search`.
            radius: Largest distance, in bits.
            among: As for `search`.

        Returns:
            For each query ids int64 and distances int32, ordered as those of `search`.

        Raises:
            SsahError: The codes do not fit, or the radius is negative.
        """
        queries = self._queries(queries)
        if radius < 0:
            raise SsahError(f"radius must be at least 0. Received: {radius}")
        radius = min(radius, self.bits)
        return self._within(queries, radius, None if among is None else np.unique(as_ids(among)))

    @abstractmethod
    def _add(self, ids: np.ndarray, codes: np.ndarray) -> None: ...

    @abstractmethod
    def _remove(self, ids: np.ndarray) -> None: ...

    @abstractmethod
    def _update(self, ids: np.ndarray, codes: np.ndarray) -> None: ...

    @abstractmethod
    def _search(self, queries: np.ndarray, k: int, among: np.ndarray | None) -> IdsDistances: ...

    @abstractmethod
    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]: ...

    def _checked(self, ids: npt.ArrayLike, codes: np.ndarray) -> IdsCodes:
        numbers = as_ids(ids)
        if not ascending(numbers) and len(np.unique(numbers)) != len(numbers):
            raise SsahError("an id comes twice")
        codes = self._fitting(codes)
        if len(numbers) != len(codes):
            raise SsahError(f"{len(numbers)} ids, but {len(codes)} codes")
        return numbers, codes

    def split(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Full codes taken apart: packed codes, and appearance codes, of which there may be none.

        Returns:
            uint8 `(n, ceil(bits / 8))` and `(n, the other bytes)`.
        """
        width = code_bytes(self.bits)
        return np.ascontiguousarray(codes[:, :width]), np.ascontiguousarray(codes[:, width:])

    def _queries(self, codes: np.ndarray) -> np.ndarray:
        codes = np.asarray(codes)
        code_alone = codes.ndim == 2 and codes.shape[1] == code_bytes(self.bits)
        return self._fitting(codes, 0 if code_alone else self.appearance_bits)

    def _fitting(self, codes: np.ndarray, appearance_bits: int | None = None) -> np.ndarray:
        appearance_bits = self.appearance_bits if appearance_bits is None else appearance_bits
        codes, width = np.asarray(codes), full_bytes(self.bits, appearance_bits)
        if codes.shape == (0, width):
            return codes.astype(np.uint8)
        try:
            if not appearance_bits:
                return check_codes("codes", codes, self.bits)
            if codes.ndim != 2 or codes.shape[1] != width:
                raise ValueError(
                    f"codes: received shape {codes.shape}, expected {width} bytes a code for "
                    f"{self.bits} bits and {appearance_bits} of appearance"
                )
            check_codes("codes", codes[:, : code_bytes(self.bits)], self.bits)
            check_codes("appearance", codes[:, code_bytes(self.bits) :], appearance_bits)
            return codes
        except ValueError as error:
            raise SsahError(str(error)) from None


def as_ids(ids: npt.ArrayLike) -> np.ndarray:
    """Ids as int64 `(m,)`."""
    return np.asarray(ids, np.int64).reshape(-1)


def ascending(ids: np.ndarray) -> bool:
    """Whether ids ascend strictly, so that none comes twice."""
    return bool((ids[1:] > ids[:-1]).all())
