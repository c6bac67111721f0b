"""The contract of an index, on each engine, against a plain Python model."""

import functools
import itertools

import numpy as np
import pytest

from ssah_tf.search import CodeIndex
from ssah_tf.search.backends.milvus import MilvusIndex
from ssah_tf.search.backends.postgres import PostgresIndex
from ssah_tf.search.backends.schemes import parse_address
from ssah_tf.search.backends.stored import CodesOf
from ssah_tf.system.errors import SsahError

#: Operations of the long form, over the four kinds of codes.
LONG = 2500
NAMES = map("t{}".format, itertools.count())


class Embedded:
    """Indexes that live in memory, and in a folder between."""

    def __init__(self, engine, folder):
        self.engine, self.folder = engine, folder

    def make(self, bits, appearance_bits=0):
        return CodeIndex(bits, "m", self.engine, appearance_bits)

    def again(self, index):
        index.save(self.folder / "index")
        return CodeIndex.load(self.folder / "index", self.engine)


class Stored:
    """Indexes in a database; what is done is kept."""

    def __init__(self, kind, address):
        self.kind, self.address = kind, address

    def make(self, bits, appearance_bits=0):
        address = parse_address(self.address(next(NAMES)))
        return self.kind.open(address, CodesOf(bits, "m", appearance_bits))

    def again(self, index):
        index.close()
        return self.kind.open(index.address)


@pytest.fixture(
    params=[
        "numpy",
        "faiss",
        "tables",
        "pgvector",
        "plain",
        pytest.param("milvus", marks=pytest.mark.slow),
    ]
)
def engine(request, tmp_path, monkeypatch):
    """Makes indexes of one kind."""
    if request.param == "tables":  # from two codes and the first query on, whatever it costs
        monkeypatch.setattr("ssah_tf.search.engines.FROM", 2)
        monkeypatch.setattr("ssah_tf.search.tabled.QUERIES", 1)
        monkeypatch.setattr("ssah_tf.search.tabled.CANDIDATE", 1)
        return Embedded("auto", tmp_path)
    if request.param in ("numpy", "faiss"):
        return Embedded(request.param, tmp_path)
    if request.param == "milvus":
        return Stored(MilvusIndex, request.getfixturevalue("milvus"))
    address = request.getfixturevalue("postgres")
    return Stored(PostgresIndex, functools.partial(address, database=request.param))


class Model:
    """A dictionary and a sort.

    Args:
        width: Bytes of a code; what is behind them is of appearance.
    """

    def __init__(self, width):
        self.width = width
        self.codes = {}

    def search(self, query, k, among):
        return self.range(query, 10**9, among)[:k]

    def range(self, query, radius, among):
        rows = (
            (
                distance(query[: self.width], code[: self.width]),
                distance(query[self.width :], code[self.width : len(query)]),
                number,
            )
            for number, code in self.codes.items()
            if among is None or number in among
        )
        return [(far, number) for far, _, number in sorted(rows) if far <= radius]


def distance(one, other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def as_bytes(ids, codes):
    return {int(i): c.tobytes() for i, c in zip(ids, codes, strict=True)}


def some_codes(rng, count, bits, distinct, looks=0):
    """Full codes, of whose codes only so many differ, with clean padding."""
    pool = np.random.default_rng([bits, distinct]).integers(0, 2, (distinct, bits), dtype=np.uint8)
    appearance = rng.integers(0, 2, (count, looks), dtype=np.uint8)
    codes = pool[rng.integers(distinct, size=count)]
    return np.concatenate([np.packbits(part, axis=1) for part in (codes, appearance)], axis=1)


def assert_equal(rows, ids, distances):
    assert [(int(d), int(i)) for d, i in zip(distances, ids, strict=True)] == rows
    assert (ids.dtype, distances.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("steps", [40, pytest.param(LONG, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("bits", "distinct", "looks"),
    [(12, 9, 0), (48, 4, 0), (64, 10_000, 0), (130, 40, 0), (12, 9, 128), (48, 900, 7), (9, 2, 65)],
)
def test_random_operations(engine, bits, distinct, looks, steps):
    """Random operations, 10,000 in all in the long form, each answer compared.

    Every third query is a code alone: its results come in the order of ids.
    """
    rng = np.random.default_rng([bits, distinct])
    width = -(-bits // 8)
    index, model, next_id = engine.make(bits, looks), Model(width), -20
    for step in range(steps):
        what = rng.choice(["add", "remove", "update", "search", "range", "again"],
                          p=[0.3, 0.12, 0.1, 0.3, 0.15, 0.03])  # fmt: skip
        there = list(model.codes)
        among = None
        if there and rng.random() < 0.3:
            among = {int(i) for i in rng.choice(there, size=len(there) // 2)} | {next_id}
        if what == "add":
            count = int(rng.integers(1, 8))
            codes = some_codes(rng, count, bits, distinct, looks)
            ids = rng.permutation(np.arange(next_id, next_id + 2 * count))[:count]
            next_id += 2 * count
            index.add(ids, codes)
            model.codes |= as_bytes(ids, codes)
        elif what == "remove" and there:
            ids = rng.choice(there, size=min(len(there), int(rng.integers(1, 6))), replace=False)
            index.remove(ids)
            for number in ids:
                del model.codes[int(number)]
        elif what == "update" and there:
            ids = rng.choice(there, size=min(len(there), 3), replace=False)
            codes = some_codes(rng, len(ids), bits, distinct, looks)
            index.update(ids, codes)
            model.codes |= as_bytes(ids, codes)
        elif what == "again":
            index = engine.again(index)
        elif what == "search":
            queries = some_codes(rng, 2, bits, distinct, looks if step % 3 else 0)
            k = int(rng.integers(1, 30))
            ids, distances = index.search(queries, k, None if among is None else list(among))
            for row, query in enumerate(queries):
                assert_equal(model.search(query, k, among), ids[row], distances[row])
        else:
            queries = some_codes(rng, 2, bits, distinct, looks if step % 3 else 0)
            radius = int(rng.integers(0, bits // 2))
            rows = index.range_search(queries, radius, None if among is None else list(among))
            for query, found in zip(queries, rows, strict=True):
                assert_equal(model.range(query, radius, among), *found)
        if step % 10 == 0:
            assert len(index) == len(model.codes), step
    assert content(index) == model.codes
    some = [next_id, *list(model.codes)[::2]]  # one of them is not there
    assert as_bytes(*index.codes_of(some)) == {n: model.codes[n] for n in sorted(some[1:])}
    assert all(number in index for number in list(model.codes)[:20])
    assert next_id not in index
    index.close()


def content(index):
    """Id -> full code of all that is there; ids ascend."""
    found = [pair for part in index.items() for pair in as_bytes(*part).items()]
    assert found == sorted(found)
    return dict(found)


def test_recall_is_1_against_all_distances(engine):
    """3,000 codes of which 300 differ: the order by (distance, id) is that of NumPy's own sort."""
    rng = np.random.default_rng(0)
    codes, queries = some_codes(rng, 3000, 64, 300), some_codes(rng, 5, 64, 400)
    ids = rng.permutation(10_000)[:3000]
    index = engine.make(64)
    index.add(ids, codes)
    among = rng.permutation(10_000)[:2000]
    allowed = np.isin(ids, among)
    for k in (1, 7, 400, 5000):
        for given, mask in ((None, np.ones(3000, bool)), (among, allowed)):
            found, distances = index.search(queries, k, given)
            for row, query in enumerate(queries):
                far = np.bitwise_count(query ^ codes[mask]).sum(axis=1)
                order = np.lexsort((ids[mask], far))[:k]
                np.testing.assert_array_equal(found[row], ids[mask][order])
                np.testing.assert_array_equal(distances[row], far[order])
    index.close()


def test_empty_and_small(engine):
    index = engine.make(16)
    query = np.zeros((3, 2), np.uint8)
    assert [part.shape for part in index.codes_of([7])] == [(0,), (0, 2)]
    assert index.search(query, 5)[0].shape == (3, 0)
    assert index.search(query[:0], 5)[0].shape[0] == 0
    assert [len(ids) for ids, _ in index.range_search(query, 16)] == [0, 0, 0]
    assert content(index) == {}
    index.add([], np.zeros((0, 2), np.uint8))
    index.add([7], np.array([[255, 255]], np.uint8))
    ids, distances = index.search(query, 5)
    assert ids.tolist() == [[7]] * 3
    assert distances.tolist() == [[16]] * 3
    assert index.search(query, 5, [])[0].shape == (3, 0)
    assert index.search(query, 5, [8])[0].shape == (3, 0)
    assert index.range_search(query[:1], 15)[0][0].tolist() == []
    assert index.range_search(query[:1], 16)[0][0].tolist() == [7]  # the radius is included
    assert index.range_search(query[:1], 16, [8])[0][0].tolist() == []
    assert index.range_search(query[:1], 10**20)[0][0].tolist() == [7]
    index.remove([7, 7])
    assert len(index) == 0
    index.close()


def test_refusals(engine):
    index = engine.make(12)
    index.add([1], np.array([[1, 16]], np.uint8))
    with pytest.raises(SsahError, match="id 1 is in the index already"):
        index.add([2, 1], np.zeros((2, 2), np.uint8))
    with pytest.raises(SsahError, match="an id comes twice"):
        index.add([3, 3], np.zeros((2, 2), np.uint8))
    with pytest.raises(SsahError, match="2 ids, but 1 codes"):
        index.add([3, 4], np.zeros((1, 2), np.uint8))
    with pytest.raises(SsahError, match="ones in the padding"):
        index.add([3], np.array([[0, 1]], np.uint8))
    with pytest.raises(SsahError, match="1 bytes a code, expected 2"):
        index.search(np.zeros((1, 1), np.uint8), 3)
    for ids in ([5], [1, 5]):
        with pytest.raises(SsahError, match="id 5 is not in the index"):
            index.remove(ids)
    for ids in ([0], [1, 0]):
        with pytest.raises(SsahError, match="id 0 is not in the index"):
            index.update(ids, np.zeros((len(ids), 2), np.uint8))
    with pytest.raises(SsahError, match="k must be at least 1"):
        index.search(np.zeros((1, 2), np.uint8), 0)
    with pytest.raises(SsahError, match="radius must be at least 0"):
        index.range_search(np.zeros((1, 2), np.uint8), -1)
    assert content(index) == {1: bytes([1, 16])}
    index.close()


def test_ties_at_the_last_place_are_of_all_that_share_the_distance(engine):
    """Whatever the number of codes and of their owners, and however many there are to choose from.

    One code has half of the ids; and codes of one owner each, more than are asked for at first, lie
    at one distance.
    """
    rng = np.random.default_rng(1)
    many = np.unpackbits(np.arange(2**13, dtype=">u2").view(np.uint8)).reshape(-1, 16)[:, 3:]
    apart = many[many.sum(axis=1) == 3][:250]  # 13 bits, three of them set
    codes = np.packbits(np.concatenate([np.zeros((250, 13), np.uint8), apart]), axis=1)
    looks = rng.integers(0, 256, (500, 16), dtype=np.uint8)
    full, ids = np.concatenate([codes, looks], axis=1), rng.permutation(9000)[:500]
    index = engine.make(13, 128)
    index.add(ids, full)
    model = Model(2)
    model.codes = as_bytes(ids, full)
    for query in full[[0, 300]]:
        for k in (1, 20, 251, 499, 600):
            found = index.search(query[None], k)
            assert_equal(model.search(query, k, None), found[0][0], found[1][0])
    index.close()


def test_appearance_refusals(engine):
    index = engine.make(12, 20)
    good = np.array([[1, 16, 7, 7, 16]], np.uint8)
    index.add([1], good)
    for codes in (good[:, :2], good[:, :4], np.zeros((1, 6), np.uint8), good[0]):
        with pytest.raises(SsahError, match="expected 5 bytes a code for 12 bits and 20 of appear"):
            index.add([2], codes)
    for codes, name in (([[1, 1, 7, 7, 16]], "codes"), ([[1, 16, 7, 7, 1]], "appearance")):
        with pytest.raises(SsahError, match=f"{name}: received ones in the padding"):
            index.add([2], np.array(codes, np.uint8))
    assert index.search(good[:, :2], 3)[0].tolist() == index.search(good, 3)[0].tolist() == [[1]]
    for wrong in (good[:, :1], good[:, :3]):
        with pytest.raises(SsahError, match="expected 5 bytes a code"):
            index.search(wrong, 3)
    assert content(index) == {1: good.tobytes()}
    index = engine.again(index)
    assert index.appearance_bits == 20
    index.close()
