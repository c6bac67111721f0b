"""An exact index of binary codes: equal codes are compared once."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.search.groups import Groups, Owners, group
from ssah_tf.search.index import IdsCodes, IdsDistances, Index, as_ids, ascending
from ssah_tf.system.errors import NewerError, SsahError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.reading import parse_json, read_array
from ssah_tf.system.text import first_line

#: File that says what an index is; it is written last.
MANIFEST = "index.json"
#: Of what is saved; 3 can have appearance codes. 2 is read, too: it has none.
FORMAT = 3
READ = 2
#: Arrays that a saved index can have, each in a file of its own, and their types.
ARRAYS = {
    "ids": (np.uint32, np.int64),
    "codes": (np.uint8,),
    "distinct": (np.uint8,),
    "starts": (np.uint32,),
    "members": (np.uint32,),
    "appearance": (np.uint8,),
}
#: Bytes of a file that are read at a time.
PIECE = 1 << 20
#: Codes that `items` gives at a time.
BLOCK = 1 << 16


class CodeIndex(Index):
    """An index in memory and in files.

    Learned codes collapse: thousands of images of a class share one. So the distinct codes are
    searched, and each answer is expanded to the ids that have that code, nearest in appearance
    first.

    Args:
        bits: Length of a code.
        model_id: Of the encoder that the codes come from.
        engine: "auto", "numpy" or "faiss". See `make_engine`.
        appearance_bits: Length of an appearance code; 0 for none.

    Attributes:
        ids: int64 `(n,)`, ascending.
        codes: Their packed codes, uint8 `(n, ceil(bits / 8))`, without appearance.
    """

    def __init__(self, bits: int, model_id: str, engine: str = "auto", appearance_bits: int = 0):
        self.bits = bits
        self.model_id = model_id
        self.engine_name = engine
        self.appearance_bits = appearance_bits
        self.codes = np.zeros((0, code_bytes(bits)), np.uint8)
        self._appearance = np.zeros((0, code_bytes(appearance_bits)), np.uint8)
        self._ids: np.ndarray | None = None
        self._first = 0
        self._groups: Groups | None = None

    @property
    def ids(self) -> np.ndarray:
        """The ids; made anew where they follow one another and no array of them is kept."""
        if self._ids is None:
            return np.arange(self._first, self._first + len(self.codes))
        return np.asarray(self._ids, np.int64)

    def ids_at(self, positions: np.ndarray) -> np.ndarray:
        """The ids at some positions."""
        if self._ids is None:
            return positions + np.int64(self._first)
        found: np.ndarray = self._ids[positions]
        return found.astype(np.int64)

    @property
    def full_codes(self) -> np.ndarray:
        """Full codes in the order of `ids`, uint8 `(n, bytes)`."""
        return self.full_at(slice(None))

    def full_at(self, positions: np.ndarray | slice) -> np.ndarray:
        """Full codes at some positions."""
        if not self.appearance_bits:
            return np.asarray(self.codes[positions])
        appearance, groups = self._appearance, self._groups  # in this order: see `groups`
        if groups is not None:
            appearance, owners = groups.appearance, groups.owners
            if owners is not None:
                return np.concatenate(
                    [self.codes[positions], appearance[owners.rows[positions]]], axis=1
                )
        return np.concatenate([self.codes[positions], appearance[positions]], axis=1)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays, in memory or mapped."""
        held = [self.codes] if self._ids is None else [self.codes, self._ids]
        if (owners := self.groups.owners) is not None:
            held += [self.groups.codes, owners.starts, owners.members]
        return sum(array.nbytes for array in held) + self.groups.appearance.nbytes

    def __len__(self) -> int:
        return len(self.codes)

    def __contains__(self, number: int) -> bool:
        if self._ids is None:
            return 0 <= number - self._first < len(self)
        at = np.searchsorted(self._ids, number)
        return bool(at < len(self) and self._ids[at] == number)

    def items(self) -> Iterator[IdsCodes]:
        """See `Index.items`."""
        for start in range(0, len(self), BLOCK):
            end = min(start + BLOCK, len(self))
            yield self.ids_at(np.arange(start, end)), self.full_at(slice(start, end))

    def codes_of(self, ids: npt.ArrayLike) -> IdsCodes:
        """See `Index.codes_of`."""
        at = np.flatnonzero(np.isin(self.ids, as_ids(ids), assume_unique=True))
        return self.ids_at(at), self.full_at(at)

    def whole(self) -> "CodeIndex":
        """All codes, in memory: these."""
        return self

    def subset(self, ids: np.ndarray) -> "CodeIndex":
        """See `Index.subset`; the codes are grouped anew, for many searches."""
        part = self._empty()
        at = self._positions(ids)
        part._take(self.ids_at(at), self.full_at(at))
        part.groups  # noqa: B018  found now, not by several threads at once
        return part

    def _add(self, ids: np.ndarray, codes: np.ndarray) -> None:
        if len(self):
            if ids.min() <= self.ids_at(np.array([len(self) - 1]))[0]:
                there = np.isin(ids, self.ids)
                if there.any():
                    raise SsahError(f"id {ids[there][0]} is in the index already")
            ids = np.concatenate([self.ids, ids])
            codes = np.concatenate([self.full_codes, codes])
        else:
            codes = np.array(codes)  # what is kept is nobody else's
        if not ascending(ids):
            order = np.argsort(ids, kind="stable")
            ids, codes = ids[order], codes[order]
        self._take(ids, codes)

    def _remove(self, ids: np.ndarray) -> None:
        keep = np.ones(len(self.ids), bool)
        keep[self._positions(ids)] = False
        self._take(self.ids[keep], self.full_codes[keep])

    def _update(self, ids: np.ndarray, codes: np.ndarray) -> None:
        changed = np.array(self.full_codes)
        changed[self._positions(ids)] = codes
        self._take(self.ids, changed)

    def _search(self, queries: np.ndarray, k: int, among: np.ndarray | None) -> IdsDistances:
        if among is not None:
            return self._part(among)._search(queries, k, None)
        k = min(k, len(self))
        if not k:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.int32)
        groups = self.groups
        queries, appearance = self.split(queries)
        if appearance.shape[1]:
            found = groups.by_appearance(queries, appearance, k)
            ids, distances = (np.stack(parts) for parts in zip(*found, strict=True))
            return self.ids_at(ids), distances
        # The codes are in the order of their smallest ids, so whatever comes behind the k nearest
        # of them has k ids before it.
        nearest, distances = groups.engine.nearest(queries, min(k, len(groups.codes)))
        if groups.owners is None:
            return self.ids_at(nearest), distances
        ids = np.empty((len(queries), k), np.int64)
        far = np.empty((len(queries), k), np.int32)
        for row in range(len(queries)):
            one = nearest[row], distances[row]
            ids[row], far[row] = groups.owners.ids(self.ids_at, *one, k)
        return ids, far

    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]:
        if among is not None:
            return self._part(among)._within(queries, radius, None)
        if not len(self):
            return [(np.zeros(0, np.int64), np.zeros(0, np.int32)) for _ in queries]
        groups = self.groups
        queries, appearance = self.split(queries)
        found = groups.engine.within(queries, radius)
        if appearance.shape[1]:
            rows = zip(found, appearance, strict=True)
            ordered = (groups.ordered(*one, look, None) for one, look in rows)
            return [(self.ids_at(positions), far) for positions, far in ordered]
        if groups.owners is None:
            return [(self.ids_at(nearest), distances) for nearest, distances in found]
        return [groups.owners.ids(self.ids_at, nearest, far, None) for nearest, far in found]

    def _part(self, among: np.ndarray) -> "CodeIndex":
        """An index of those of these ids that are there; its codes are compared as they are."""
        part = self._empty()
        part._take(*self.codes_of(among))
        part._groups = Groups(self.engine_name, part.codes, None, part._appearance)
        return part

    def _empty(self) -> "CodeIndex":
        """An index of such codes, without any."""
        return CodeIndex(self.bits, self.model_id, self.engine_name, self.appearance_bits)

    @property
    def groups(self) -> "Groups":
        """What is searched, found when it is first needed."""
        if self._groups is None:
            found = group(np.asarray(self.codes))
            distinct, owners = (self.codes, None) if found is None else found
            looks = self._appearance if owners is None else self._appearance[owners.members]
            self._groups = Groups(self.engine_name, distinct, owners, looks)
            self._appearance = self._appearance[:0].copy()  # the groups have them now
        return self._groups

    def save(self, folder: Path) -> None:
        """Write the index to a folder; killed at any moment, the folder holds the old or the new.

        Arrays go to files named after their content, then `index.json` names them. The groups are
        written, too: to find them again would take more memory than the codes.

        Raises:
            RunError: The disk is full, or the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {"codes": self.codes}
        if self._ids is not None:
            arrays["ids"] = self._ids
        if (owners := self.groups.owners) is not None:
            arrays |= {"distinct": self.groups.codes}
            arrays |= {"starts": owners.starts, "members": owners.members}
        if self.appearance_bits:
            arrays["appearance"] = self.groups.appearance
        files = {}
        for name, array in arrays.items():
            digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
            file = f"{name}-{digest[:16]}.npy"
            if not (folder / file).is_file():
                with atomic_path(folder / file) as path:
                    np.save(path, array)
            files[name] = {"file": file, "sha256": digest}
        about = {
            "format": FORMAT,
            "model_id": self.model_id,
            "bits": self.bits,
            "appearance_bits": self.appearance_bits,
            "metric": "hamming",
            "codes": len(self),
            "first_id": self._first,
            "files": files,
        }
        write_atomically(folder / MANIFEST, json.dumps(about, indent=1).encode())
        kept = {entry["file"] for entry in files.values()}
        for path in folder.glob("*-*.npy"):
            if path.name.split("-")[0] in ARRAYS and path.name not in kept:
                path.unlink()

    @classmethod
    def load(cls, folder: Path, engine: str = "auto") -> "CodeIndex":
        """Read an index; its arrays stay on disk, mapped, until they are needed.

        Raises:
            SsahError: Not an index, or a file is missing or damaged.
        """
        try:
            about = parse_json((folder / MANIFEST).read_bytes())
            made = int(about.get("format", 1))
            if made > FORMAT:
                raise NewerError(folder, made, FORMAT)
            if made < READ:
                raise ValueError("made by an older version: make it anew")
            looks, count = int(about.get("appearance_bits", 0)), about["codes"]
            index = cls(int(about["bits"]), str(about["model_id"]), engine, looks)
            width = code_bytes(index.bits)

            def array(
                name: str,
                shape: tuple[int, ...],
                check: Callable[[np.ndarray], bool] = lambda part: True,
            ) -> np.ndarray:
                entry = about["files"][name]
                path = folder / Path(entry["file"]).name
                found = read_array(path, mapped=bool(count))
                if found.dtype not in ARRAYS[name] or found.ndim != len(shape):
                    raise ValueError("arrays of other types")
                if any(
                    want not in (-1, size) for want, size in zip(shape, found.shape, strict=True)
                ):
                    raise ValueError("arrays of other shapes")
                if digest_of(path, found, check) != entry["sha256"]:
                    raise SsahError(f"{path}: damaged (its checksum differs)")
                return found

            index.codes = array("codes", (count, width))
            index._first = int(about["first_id"])
            if "ids" in about["files"]:
                index._ids = array("ids", (count,), Ascending())
            if looks:
                index._appearance = array("appearance", (count, code_bytes(looks)))
            if "distinct" in about["files"]:
                distinct = array("distinct", (-1, width))
                starts = array("starts", (len(distinct) + 1,), Ascending())
                members = array("members", (count,), lambda part: bool((part < count).all()))
                if starts[0] != 0 or starts[-1] != count:
                    raise ValueError("arrays of other contents")
                owners = Owners(starts, members)
                index._groups = Groups(engine, distinct, owners, index._appearance)
            else:
                index._groups = Groups(engine, index.codes, None, index._appearance)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = first_line(error)
            raise SsahError(f"{folder}: not an index of ssah-tf ({reason})") from None
        return index

    def _take(self, ids: np.ndarray, codes: np.ndarray) -> None:
        """Hold ids, ascending, and their full codes; ids that follow one another need no array."""
        self.codes, self._appearance = self.split(codes)
        self._groups = None
        self._first, last = (int(ids[0]), int(ids[-1])) if len(ids) else (0, -1)
        if last - self._first + 1 == len(ids):
            self._ids = None
        else:
            small = self._first >= 0 and last < 1 << 32
            self._ids = ids.astype(np.uint32 if small else np.int64)

    def _positions(self, ids: np.ndarray) -> np.ndarray:
        there = self.ids
        at = np.minimum(np.searchsorted(there, ids), len(there) - 1)
        missing = ids if not len(there) else ids[there[at] != ids]
        if len(missing):
            raise SsahError(f"id {missing[0]} is not in the index")
        return at


def digest_of(path: Path, array: np.ndarray, check: Callable[[np.ndarray], bool]) -> str:
    """SHA-256 of the array of a file, read beside the map, whose memory is for the search alone.

    Args:
        path: The file.
        array: Its array, mapped.
        check: Sees a part at a time, and says whether it is right.

    Raises:
        ValueError: A part is not right.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        stream.seek(getattr(array, "offset", 0) if array.size else path.stat().st_size)
        while block := stream.read(PIECE):
            if len(block) % array.itemsize or not check(np.frombuffer(block, array.dtype)):
                raise ValueError("arrays of other contents")
            digest.update(block)
    return digest.hexdigest()


class Ascending:
    """Whether numbers that come in parts ascend strictly."""

    def __init__(self) -> None:
        self.last: int | None = None

    def __call__(self, part: np.ndarray) -> bool:
        """See the next part."""
        before, self.last = self.last, int(part[-1])
        return bool((part[1:] > part[:-1]).all() and (before is None or before < part[0]))
