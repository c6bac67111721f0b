"""An exact index of binary codes: equal codes are compared once."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssah_tf.errors import SsahError
from ssah_tf.files import atomic_path, write_atomically
from ssah_tf.metrics.hamming import bit_words, check_codes, code_bytes
from ssah_tf.reading import parse_json, read_array
from ssah_tf.search.engines import make_engine

#: File that says what an index is; it is written last.
MANIFEST = "index.json"


class CodeIndex:
    """Finds the nearest codes by Hamming distance, always exactly.

    Learned codes collapse: thousands of images of a class share one. So the distinct codes are
    searched, and each answer is expanded to the ids that have that code. Results come in the order
    of (distance, id).

    Args:
        bits: Length of a code.
        model_id: Of the encoder that the codes come from.
        engine: "auto", "numpy" or "faiss". See `make_engine`.

    Attributes:
        ids: int64 `(n,)`, ascending.
        codes: Their packed codes, uint8 `(n, ceil(bits / 8))`.
    """

    def __init__(self, bits: int, model_id: str, engine: str = "auto"):
        self.bits = bits
        self.model_id = model_id
        self.engine_name = engine
        self.ids = np.zeros(0, np.int64)
        self.codes = np.zeros((0, code_bytes(bits)), np.uint8)
        self._groups: Groups | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, number: int) -> bool:
        at = np.searchsorted(self.ids, number)
        return bool(at < len(self.ids) and self.ids[at] == number)

    def add(self, ids: Sequence[int], codes: np.ndarray) -> None:
        """Add codes under new ids.

        Args:
            ids: int64 `(m,)`, each once, none of them in the index.
            codes: Packed codes, uint8 `(m, ceil(bits / 8))`.

        Raises:
            SsahError: An id is there already or comes twice, or the codes do not fit.
        """
        ids, codes = self._checked(ids, codes)
        if not len(ids):
            return
        there = np.isin(ids, self.ids)
        if there.any():
            raise SsahError(f"id {ids[there][0]} is in the index already")
        ids = np.concatenate([self.ids, ids])
        codes = np.concatenate([self.codes, codes])
        order = np.argsort(ids, kind="stable")
        self._take(ids[order], codes[order])

    def remove(self, ids: Sequence[int]) -> None:
        """Remove ids and their codes.

        Raises:
            SsahError: An id is not in the index.
        """
        at = self._positions(ids)
        keep = np.ones(len(self.ids), bool)
        keep[at] = False
        self._take(self.ids[keep], self.codes[keep])

    def update(self, ids: Sequence[int], codes: np.ndarray) -> None:
        """Give ids new codes.

        Raises:
            SsahError: An id is not in the index or comes twice, or the codes do not fit.
        """
        ids, codes = self._checked(ids, codes)
        changed = np.array(self.codes)
        changed[self._positions(ids)] = codes
        self._take(self.ids, changed)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of the index for each query.

        Args:
            queries: Packed codes, uint8 `(q, ceil(bits / 8))`.
            k: How many; no more than there are come back.

        Returns:
            ids int64 `(q, min(k, n))` and distances int32 of that shape, each row ordered by
            (distance, id).

        Raises:
            SsahError: The codes do not fit, or k is below 1.
        """
        queries = self._fitting(queries)
        if k < 1:
            raise SsahError(f"k must be at least 1. Received: {k}")
        k = min(k, len(self))
        if not k:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.int32)
        groups = self.groups
        # The codes are in the order of their smallest ids, so whatever comes behind the k nearest
        # of them has k ids before it.
        nearest, distances = groups.engine.nearest(queries, min(k, len(groups.codes)))
        if groups.all_single:
            return self.ids[groups.members[nearest]], distances
        ids = np.empty((len(queries), k), np.int64)
        found = np.empty((len(queries), k), np.int32)
        for row in range(len(queries)):
            ids[row], found[row] = groups.expand(self.ids, nearest[row], distances[row], k)
        return ids, found

    def range_search(self, queries: np.ndarray, radius: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Everything up to a distance, the radius included.

        Args:
            queries: Packed codes, uint8 `(q, ceil(bits / 8))`.
            radius: Largest distance, in bits.

        Returns:
            For each query ids int64 and distances int32, ordered by (distance, id).

        Raises:
            SsahError: The codes do not fit, or the radius is negative.
        """
        queries = self._fitting(queries)
        if radius < 0:
            raise SsahError(f"radius must be at least 0. Received: {radius}")
        if not len(self):
            return [(np.zeros(0, np.int64), np.zeros(0, np.int32)) for _ in queries]
        groups = self.groups
        return [
            groups.expand(self.ids, nearest, distances, None)
            for nearest, distances in groups.engine.within(queries, radius)
        ]

    @property
    def groups(self) -> "Groups":
        """The distinct codes, found when they are first needed."""
        if self._groups is None:
            self._groups = Groups(np.asarray(self.codes), self.engine_name)
        return self._groups

    def save(self, folder: Path) -> None:
        """Write the index to a folder; killed at any moment, the folder holds the old or the new.

        Arrays go to files named after their content, then `index.json` names them.

        Raises:
            RunError: The disk is full, or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for name, array in (("ids", self.ids), ("codes", self.codes)):
            digest = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
            file = f"{name}-{digest[:16]}.npy"
            if not (folder / file).is_file():
                with atomic_path(folder / file) as path:
                    np.save(path, array)
            files[name] = {"file": file, "sha256": digest}
        about = {
            "model_id": self.model_id,
            "bits": self.bits,
            "metric": "hamming",
            "codes": len(self),
            "files": files,
        }
        write_atomically(folder / MANIFEST, json.dumps(about, indent=1).encode())
        kept = {entry["file"] for entry in files.values()}
        for name in files:
            for path in folder.glob(f"{name}-*.npy"):
                if path.name not in kept:
                    path.unlink()

    @classmethod
    def load(cls, folder: Path, engine: str = "auto") -> "CodeIndex":
        """Read an index; its arrays stay on disk, mapped, until they are needed.

        Raises:
            SsahError: Not an index, or a file is missing or damaged.
        """
        arrays = {}
        try:
            about = parse_json((folder / MANIFEST).read_bytes())
            index = cls(int(about["bits"]), str(about["model_id"]), engine)
            for name, entry in about["files"].items():
                path = folder / Path(entry["file"]).name
                array = read_array(path, mapped=bool(about["codes"]))
                if hashlib.sha256(array).hexdigest() != entry["sha256"]:
                    raise SsahError(f"{path}: damaged (its checksum differs)")
                arrays[name] = array
            index.ids, index.codes = arrays["ids"], arrays["codes"]
            fits = index.ids.shape == (about["codes"],) and index.ids.dtype == np.int64
            if not fits or index.codes.shape != (about["codes"], code_bytes(index.bits)):
                raise ValueError("arrays of other shapes")
            if index.codes.dtype != np.uint8 or (np.diff(index.ids) <= 0).any():
                raise ValueError("arrays of other contents")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SsahError(f"{folder}: not an index of ssah-tf ({reason})") from None
        return index

    def _take(self, ids: np.ndarray, codes: np.ndarray) -> None:
        self.ids, self.codes, self._groups = ids, codes, None

    def _positions(self, ids: Sequence[int]) -> np.ndarray:
        ids = np.asarray(ids, np.int64).reshape(-1)
        at = np.searchsorted(self.ids, ids)
        at = np.minimum(at, max(0, len(self.ids) - 1))
        missing = ids if not len(self.ids) else ids[self.ids[at] != ids]
        if len(missing):
            raise SsahError(f"id {missing[0]} is not in the index")
        return at

    def _checked(self, ids, codes) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(ids, np.int64).reshape(-1)
        if len(np.unique(ids)) != len(ids):
            raise SsahError("an id comes twice")
        codes = self._fitting(codes)
        if len(ids) != len(codes):
            raise SsahError(f"{len(ids)} ids, but {len(codes)} codes")
        return ids, codes

    def _fitting(self, codes: np.ndarray) -> np.ndarray:
        codes = np.asarray(codes)
        if codes.shape == (0, code_bytes(self.bits)):
            return codes.astype(np.uint8)
        try:
            return check_codes("codes", codes, self.bits)
        except ValueError as error:
            raise SsahError(str(error)) from None


class Groups:
    """The distinct codes of an index in the order of their first position, and who has them.

    Attributes:
        codes: uint8 `(d, bytes)`.
        members: int64 `(n,)`, positions of the first code's owners, then the second's, ...
        starts: int64 `(d + 1,)`, where each code's owners begin in `members`.
        engine: Searches `codes`.
    """

    def __init__(self, codes: np.ndarray, engine: str):
        words = bit_words(codes)
        order = np.lexsort(words)  # stable: positions ascend within equal codes
        words = words[:, order]
        new = np.ones(len(codes), bool)
        new[1:] = (words[:, 1:] != words[:, :-1]).any(axis=0)
        first = order[new]
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        group = np.empty(len(codes), np.int64)
        group[order] = rank[np.cumsum(new) - 1]
        self.members = np.argsort(group, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(group))])
        self.codes = codes[np.sort(first)]
        self.all_single = len(self.codes) == len(codes)
        self.engine = make_engine(engine, self.codes)

    def expand(self, ids: np.ndarray, nearest: np.ndarray, distances: np.ndarray, k: int | None):
        """Ids of codes and their distances in the order of (distance, id), the first k of them."""
        starts, sizes = self.starts[nearest], self.starts[nearest + 1] - self.starts[nearest]
        if k is not None:
            sizes = np.minimum(sizes, k)  # more of one code cannot be among the first k
            enough = int(np.searchsorted(np.cumsum(sizes), k)) + 1
            if enough < len(nearest):  # whole distances only: ids of equal distance mix
                enough = int(np.searchsorted(distances, distances[enough - 1], side="right"))
                starts, sizes, distances = starts[:enough], sizes[:enough], distances[:enough]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        found = ids[self.members[np.repeat(starts, sizes) + within]]
        far = np.repeat(distances, sizes)
        order = np.lexsort((found, far))[:k]
        return found[order], far[order].astype(np.int32)
