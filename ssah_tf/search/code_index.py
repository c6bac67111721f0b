"""An exact index of binary codes: equal codes are compared once."""

import hashlib
import json
from pathlib import Path

import numpy as np

from ssah_tf.errors import SsahError
from ssah_tf.files import atomic_path, write_atomically
from ssah_tf.metrics.hamming import bit_words, code_bytes
from ssah_tf.reading import parse_json, read_array
from ssah_tf.search.engines import Engine, make_engine
from ssah_tf.search.index import Index

#: File that says what an index is; it is written last.
MANIFEST = "index.json"
#: Codes that `items` gives at a time.
BLOCK = 1 << 16


class CodeIndex(Index):
    """An index in memory and in files.

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

    def items(self):
        """See `Index.items`."""
        for start in range(0, len(self), BLOCK):
            yield self.ids[start : start + BLOCK], self.codes[start : start + BLOCK]

    def _add(self, ids, codes):
        there = np.isin(ids, self.ids)
        if there.any():
            raise SsahError(f"id {ids[there][0]} is in the index already")
        ids = np.concatenate([self.ids, ids])
        codes = np.concatenate([self.codes, codes])
        order = np.argsort(ids, kind="stable")
        self._take(ids[order], codes[order])

    def _remove(self, ids):
        keep = np.ones(len(self.ids), bool)
        keep[self._positions(ids)] = False
        self._take(self.ids[keep], self.codes[keep])

    def _update(self, ids, codes):
        changed = np.array(self.codes)
        changed[self._positions(ids)] = codes
        self._take(self.ids, changed)

    def _search(self, queries, k, among):
        ids, engine = self._part(among) if among is not None else (self.ids, None)
        k = min(k, len(ids))
        if not k:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.int32)
        if engine is not None:
            nearest, distances = engine.nearest(queries, k)
            return ids[nearest], distances
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

    def _within(self, queries, radius, among):
        ids, engine = self._part(among) if among is not None else (self.ids, None)
        if not len(ids):
            return [(np.zeros(0, np.int64), np.zeros(0, np.int32)) for _ in queries]
        if engine is not None:
            return [(ids[near], far) for near, far in engine.within(queries, radius)]
        groups = self.groups
        return [
            groups.expand(self.ids, nearest, distances, None)
            for nearest, distances in groups.engine.within(queries, radius)
        ]

    def _part(self, among: np.ndarray) -> tuple[np.ndarray, Engine]:
        """The ids of these that are there, ascending, and an engine over their codes alone."""
        at = np.flatnonzero(np.isin(self.ids, among, assume_unique=True))
        return self.ids[at], make_engine(self.engine_name, self.codes[at])

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

    def _positions(self, ids: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self.ids, ids)
        at = np.minimum(at, max(0, len(self.ids) - 1))
        missing = ids if not len(self.ids) else ids[self.ids[at] != ids]
        if len(missing):
            raise SsahError(f"id {missing[0]} is not in the index")
        return at


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
