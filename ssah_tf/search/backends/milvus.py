"""An index in Milvus, which shards codes over machines."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

import numpy as np

from ssah_tf.metrics.hamming import code_bytes, full_bytes
from ssah_tf.search.backends.address import Address
from ssah_tf.search.backends.stored import CodesOf
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.groups import distances_to
from ssah_tf.search.index import IdsCodes, IdsDistances, Index
from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json
from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient

#: Distance, key and number of ids of a page that a search finds.
PageHit = tuple[int, int, int]
#: The form of our collections; 2 can have appearance codes. 1 is read, too: it has none.
LAYOUT = 2
#: Field of the appearance codes of a page, a 64-bit word of each; its number follows.
WORD = "appearance_"
#: Ids of a block follow on each other; a page never reaches over its end.
BLOCK = 4096
#: What Milvus gives at most for a query.
HITS = 16_384
#: Pages asked for beyond k, so that ties at the k-th are mostly there at once.
MORE = 64
#: Queries that are sent together, and by radius; pages, ids and ranges of a request.
QUERIES, RANGED, ROWS, IDS, RANGES = 64, 8, 8192, 1 << 18, 64
#: The type of index by which Milvus compares all codes.
INDEX = "BIN_FLAT"
#: Seconds until a call is given up.
TIMEOUT = 120.0


class Collection:
    """Calls on one collection, each with its faults told and what it may not have seen yet.

    Args:
        address: Of the index that it belongs to.
        client: A `pymilvus.MilvusClient`.
        name: Of the collection.
    """

    def __init__(self, address: Address, client: "MilvusClient", name: str):
        self.address = address
        self.client = client
        self.name = name
        self.see_all()

    def see_all(self) -> None:
        """The next read sees all that is written, by anybody; later ones at least what we wrote."""
        self.consistency = "Strong"

    @contextmanager
    def reading(self) -> Iterator[dict[str, Any]]:
        """What a read is given; after one that saw everything, our own writes are enough."""
        with faults(self.address):
            yield {"consistency_level": self.consistency, "timeout": TIMEOUT}
        self.consistency = "Session"

    def read(self, which: str, *fields: str) -> list[dict[str, Any]]:
        """What Milvus answers to a query, whole or not."""
        with self.reading() as how:
            found: list[dict[str, Any]] = self.client.query(
                self.name, filter=which, output_fields=list(fields), **how
            )
        return found

    def query(self, which: str, *fields: str, most: int | None = None) -> list[dict[str, Any]]:
        """Fields of all entities that meet a condition.

        Args:
            which: The condition.
            fields: Their names.
            most: How many there are at most, where that is known: so many are all.

        Raises:
            SsahError: A key is there twice.
        """
        found = self.read(which, *fields)
        if most is None or len(found) < most:
            count = self.count(which)
            if len(found) < count:  # another program may have added some meanwhile
                found = self.read(which, *fields)
                self.check_whole(len(found), count)
        return found

    def count(self, which: str = "") -> int:
        """Number of the entities that meet a condition, copies of a key included."""
        return int(self.read(which, "count(*)")[0]["count(*)"])

    def check_whole(self, found: int, count: int) -> None:
        """Refuse an answer that should have all entities, and has fewer.

        Milvus takes an entity whose key is there already, unless it is asked to replace it. Its
        queries then leave out others, and its searches take copies out after the limit.

        Args:
            found: Entities in the answer.
            count: How many there are, copies of a key included.

        Raises:
            SsahError: These are more.
        """
        if found < count:
            raise SsahError(
                f"{self.address}: Milvus finds {found:,} of {count:,} entities: another program "
                "wrote some of them twice; bring the index in anew, under another name"
            )

    def search(self, **given: Any) -> list[list[dict[str, Any]]]:
        """See `MilvusClient.search`."""
        with self.reading() as how:
            found: list[list[dict[str, Any]]] = self.client.search(self.name, **given, **how)
        return found

    def upsert(self, rows: list[dict[str, Any]]) -> None:
        """Write entities, in place of those with the same keys."""
        with faults(self.address):
            self.client.upsert(self.name, rows, timeout=TIMEOUT)

    def delete(self, keys: list[Any]) -> None:
        """Delete entities by key."""
        with faults(self.address):
            for start in range(0, len(keys), ROWS):
                self.client.delete(self.name, ids=keys[start : start + ROWS], timeout=TIMEOUT)


class MilvusIndex(Index):
    """A collection of Milvus whose entities are *pages*: a code, and ids that have it.

    A page holds the ids of one code in one block of `BLOCK` ids, with their appearance codes, and
    its key is the smallest of them. So equal codes are mostly compared once; the page of an id is
    found by the range of its block; and a block is changed by one request, whole or not at all.
    Milvus gives no more than `HITS` pages and orders ties as it likes: the search asks again by
    radius, and by halves where even these are too many, until it has all pages up to the distance
    of the k-th id.

    One process may write at a time: Milvus has no locks. It reads its own writes, and those of
    others that ended before it was opened.

    Args:
        address: Where it is.
        client: A `pymilvus.MilvusClient`.
    """

    def __init__(self, address: Address, client: "MilvusClient", codes: CodesOf):
        self.address = address
        self.client = client
        self.pages = Collection(address, client, address.name)
        self.bits, self.model_id = codes.bits, codes.model_id
        self.appearance_bits = codes.appearance_bits
        self.words = words_of(codes.appearance_bits)

    @classmethod
    def open(cls, address: Address, codes: CodesOf | None = None) -> Self:
        """Open an index, or begin one of such codes if there is none.

        Raises:
            SsahError: No connection, no index, or one of other codes.
        """
        client = connect(address)
        try:
            with faults(address):
                if not client.has_collection(address.name, timeout=TIMEOUT):
                    if codes is None:
                        raise SsahError(f"{address}: no index; make one with `ssah index`")
                    make(client, address.name, codes)
                found = about(client, address)
                check_exact(client, address)
                client.load_collection(address.name, timeout=TIMEOUT)
            return cls(address, client, found)
        except BaseException:
            client.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def __len__(self) -> int:
        return sum(row["size"] for row in self.pages.query("size > 0", "size"))

    def __contains__(self, number: int) -> bool:
        ids, _ = self.content(np.array([int(number)]) // BLOCK)
        return int(number) in ids

    def items(self) -> Iterator[IdsCodes]:
        """See `Index.items`."""
        return self.parts("size > 0")

    def content(self, blocks: np.ndarray) -> IdsCodes:
        """Ids of blocks, ascending, and their codes."""
        low, high = int(blocks.min()) * BLOCK, int(blocks.max() + 1) * BLOCK
        which = f"size > 0 and first >= {low} and first < {high}"
        width = full_bytes(self.bits, self.appearance_bits)
        empty = np.zeros(0, np.int64), np.zeros((0, width), np.uint8)
        ids, codes = zip(empty, *self.parts(which, blocks), strict=True)
        return np.concatenate(ids), np.concatenate(codes)

    def parts(self, which: str, blocks: np.ndarray | None = None) -> Iterator[IdsCodes]:
        """Ids, ascending, and codes of the pages that meet a condition, or of some of its blocks.

        First the keys alone, so that no request for ids and codes is too large.
        """
        firsts = np.array([row["first"] for row in self.pages.query(which, "first")], np.int64)
        here, counts = np.unique(firsts // BLOCK, return_counts=True)
        for ranges in grouped(here, counts, here if blocks is None else blocks):
            condition = " or ".join(f"(first >= {low} and first < {high})" for low, high in ranges)
            owners, copies = [], []
            fields = "ids", "code", *self.words
            for page in self.pages.query(f"size > 0 and ({condition})", *fields):
                owners.append(np.array(page["ids"], np.int64))
                code = np.frombuffer(page["code"][0], np.uint8)
                rows = np.broadcast_to(code, (len(owners[-1]), len(code)))
                copies.append(np.concatenate([rows, self.looks(page)], axis=1))
            ids, codes = np.concatenate(owners), np.concatenate(copies)
            order = np.argsort(ids)
            yield ids[order], codes[order]

    def looks(self, page: dict[str, Any]) -> np.ndarray:
        """Appearance codes of a page, uint8 `(ids, bytes)`."""
        shape = len(self.words), len(page["ids"])
        words = np.array([page[word] for word in self.words], np.int64).reshape(shape)
        packed = np.ascontiguousarray(words.T).view(np.uint8)
        looks: np.ndarray = packed[:, : code_bytes(self.appearance_bits)]
        return looks

    def _add(self, ids: np.ndarray, codes: np.ndarray) -> None:
        here, its = self.content(np.unique(ids // BLOCK))
        if (there := np.isin(ids, here)).any():
            raise SsahError(f"id {ids[there].min()} is in the index already")
        self._write(here, its, np.concatenate([here, ids]), np.concatenate([its, codes]))

    def _remove(self, ids: np.ndarray) -> None:
        here, its = self._holding(ids)
        keep = ~np.isin(here, ids)
        self._write(here, its, here[keep], its[keep])

    def _update(self, ids: np.ndarray, codes: np.ndarray) -> None:
        here, its = self._holding(ids)
        changed = its.copy()
        changed[np.searchsorted(here, ids)] = codes
        self._write(here, its, here, changed)

    def _holding(self, ids: np.ndarray) -> IdsCodes:
        """Content of the blocks of ids that have to be there."""
        here, its = self.content(np.unique(ids // BLOCK))
        if (missing := ~np.isin(ids, here)).any():
            raise SsahError(f"id {ids[missing].min()} is not in the index")
        return here, its

    def _write(
        self, ids: np.ndarray, codes: np.ndarray, new_ids: np.ndarray, new_codes: np.ndarray
    ) -> None:
        """Replace the content of blocks: a request holds the changed pages of a block or more.

        A page whose key is no more is written empty in the same request, and deleted afterwards.
        """
        old, new = self.as_pages(ids, codes), self.as_pages(new_ids, new_codes)
        nothing = {"size": 0, "ids": [], "code": bytes(code_bytes(self.bits))}
        nothing |= {word: [] for word in self.words}
        gone = list(old.keys() - new.keys())
        empty = [{"first": first, **nothing} for first in gone]
        rows = [page for first, page in new.items() if old.get(first) != page] + empty
        rows.sort(key=lambda row: row["first"])
        request: list[dict[str, Any]] = []
        for row in rows:
            other = request and request[-1]["first"] // BLOCK != row["first"] // BLOCK
            if other and (len(request) > ROWS or sum(r["size"] for r in request) > IDS):
                self.pages.upsert(request)
                request = []
            request.append(row)
        if request:
            self.pages.upsert(request)
        self.pages.delete(gone)

    def as_pages(self, ids: np.ndarray, codes: np.ndarray) -> dict[int, dict[str, Any]]:
        """The pages of ids and their full codes, by key."""
        packed, appearance = self.split(codes)
        return pages(ids, packed, appearance)

    def _search(self, queries: np.ndarray, k: int, among: np.ndarray | None) -> IdsDistances:
        if among is not None:
            return self._part(among).search(queries, k)
        found = []
        for start in range(0, len(queries), QUERIES):
            found += self._nearest(queries[start : start + QUERIES], k)
        return np.stack([ids for ids, _ in found]), np.stack([far for _, far in found])

    def _nearest(self, queries: np.ndarray, k: int) -> list[IdsDistances]:
        queries, appearance = self.split(queries)
        limit = min(HITS, k + MORE)
        found = self.hits(queries, limit)
        if (fewest := min(map(len, found))) < limit:
            self.pages.check_whole(fewest, self.pages.count())
        again: dict[int, list[int]] = {}
        for at, hits in enumerate(found):
            radius = radius_of(hits, k)
            if len(hits) == limit and (radius is None or radius == hits[-1][0]):
                # There may be more pages at that distance, or not enough of them came.
                again.setdefault(hits[-1][0], []).append(at)
        for radius, rows in again.items():
            for at, hits in zip(rows, self.within(queries[rows], radius), strict=True):
                beyond = radius
                while beyond < self.bits and radius_of(hits, k) is None:
                    beyond += 1
                    (hits,) = self.within(queries[[at]], beyond)
                found[at] = hits
        return self.expand(found, k, appearance)

    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]:
        if among is not None:
            return self._part(among).range_search(queries, radius)
        found = []
        for start in range(0, len(queries), RANGED):
            part, appearance = self.split(queries[start : start + RANGED])
            found += self.expand(self.within(part, radius), None, appearance)
        return found

    def _part(self, among: np.ndarray) -> CodeIndex:
        """The codes of some ids, to be searched here."""
        part = CodeIndex(self.bits, self.model_id, appearance_bits=self.appearance_bits)
        if len(among):
            ids, codes = self.content(np.unique(among // BLOCK))
            keep = np.isin(ids, among)
            part.add(ids[keep], codes[keep])
        return part

    def hits(
        self, queries: np.ndarray, limit: int, radius: int | None = None, which: str = ""
    ) -> list[list[PageHit]]:
        """Distance, key and size of the nearest pages of each query, by distance and key."""
        how: dict[str, Any] = {"metric_type": "HAMMING"}
        if radius is not None:
            how["params"] = {"radius": radius + 1}  # it is exclusive
        found = self.pages.search(
            data=[query.tobytes() for query in queries],
            filter=which,
            limit=limit,
            output_fields=["first", "size"],
            search_params=how,
        )
        return [
            sorted(
                (int(hit["distance"]), hit["entity"]["first"], hit["entity"]["size"])
                for hit in hits
            )
            for hits in found
        ]

    def within(
        self, queries: np.ndarray, radius: int, low: int | None = None, high: int | None = None
    ) -> list[list[PageHit]]:
        """All pages up to a distance, of keys from `low` to below `high`; see `hits`."""
        ends = [f"first >= {low}"] * (low is not None) + [f"first < {high}"] * (high is not None)
        found = []
        for start in range(0, len(queries), RANGED):
            part = queries[start : start + RANGED]
            some = self.hits(part, HITS, radius, " and ".join(ends))
            ends_here = [hits for hits in some if len(hits) < HITS]  # others are halved below
            self.check_single({first for hits in ends_here for _, first, _ in hits})
            found += some
        for at, hits in enumerate(found):
            if len(hits) == HITS:
                middle = sorted(first for _, first, _ in hits)[HITS // 2]
                (lower,) = self.within(queries[[at]], radius, low, middle)
                (upper,) = self.within(queries[[at]], radius, middle, high)
                found[at] = sorted(lower + upper)
        return found

    def check_single(self, firsts: set[int]) -> None:
        """Refuse what a search by radius finds if a page of it is there twice.

        Copies count for the limit of `HITS`, so they take the places of other pages. Where there
        are fewer entities than that, none is left out.

        Args:
            firsts: Keys of the pages that are found.

        Raises:
            SsahError: One is.
        """
        if firsts and self.pages.count() >= HITS:
            self.pages.check_whole(len(firsts), self.pages.count(f"first in {sorted(firsts)}"))

    def expand(
        self, found: list[list[PageHit]], k: int | None, appearance: np.ndarray
    ) -> list[IdsDistances]:
        """Ids of pages and their distances in the order of a search, the first k of them.

        Args:
            found: Pages of each query.
            k: How many ids; all if `None`.
            appearance: Appearance codes of the queries; of no bytes for the order of ids.
        """
        looks = appearance.shape[1] > 0
        tables = [needed(np.array(hits, np.int64).reshape(-1, 3), k, looks) for hits in found]
        postings = self.postings(np.concatenate(tables), looks)
        none = np.zeros(0, np.int64), np.zeros((0, appearance.shape[1]), np.uint8)
        results = []
        for table, look in zip(tables, appearance, strict=True):
            # Of a page that went meanwhile there are none.
            owners = [postings.get(first, none) for _, first, _ in table.tolist()]
            far = np.repeat(table[:, 0], [len(some) for some, _ in owners])
            ids, codes = (np.concatenate(parts) for parts in zip(none, *owners, strict=True))
            near = distances_to(look, codes) if looks else np.zeros(len(ids), np.uint8)
            order = np.lexsort((ids, near, far))[:k]
            results.append((ids[order], far[order].astype(np.int32)))
        return results

    def postings(self, table: np.ndarray, looks: bool) -> dict[int, IdsCodes]:
        """Ids of pages, by key, with their appearance codes if `looks`.

        Without these, pages of one id need not be asked for.
        """
        single = (table[:, 2] < 2) & (not looks)
        none = np.zeros((0, 0), np.uint8)
        found = {
            first: (np.array([first][:size], np.int64), none)
            for _, first, size in table[single].tolist()
        }
        fields = "first", "ids", *(self.words if looks else ())
        firsts, at = np.unique(table[~single, 1], return_index=True)
        part = np.cumsum(table[~single, 2][at]) // IDS
        for number in np.unique(part):
            some = firsts[part == number].tolist()
            for page in self.pages.query(f"first in {some}", *fields, most=len(some)):
                ids = np.array(page["ids"], np.int64)
                codes = self.looks(page) if looks else np.zeros((len(ids), 0), np.uint8)
                found[page["first"]] = ids, codes
        return found


def words_of(appearance_bits: int) -> tuple[str, ...]:
    """Fields of appearance codes."""
    return tuple(f"{WORD}{number}" for number in range(-(-appearance_bits // 64)))


def needed(table: np.ndarray, k: int | None, looks: bool) -> np.ndarray:
    """Those of the pages of a query that can have one of its k nearest ids.

    Blocks are ranges of ids: at the distance where k ids are reached, later blocks are not needed,
    unless ids of one distance are ordered by appearance.

    Args:
        table: Distance, key and size of all pages up to some distance, by distance and key.
        k: How many; all if `None`.
        looks: Whether they are.
    """
    at = len(table) if k is None else np.searchsorted(np.cumsum(table[:, 2]), k)
    if at == len(table):
        return table
    far, block = table[at, 0], table[at, 1] // BLOCK
    same = (table[:, 0] == far) & (looks | (table[:, 1] // BLOCK <= block))
    rows: np.ndarray = table[(table[:, 0] < far) | same]
    return rows


def grouped(
    here: np.ndarray, counts: np.ndarray, wanted: np.ndarray
) -> Iterator[list[tuple[int, int]]]:
    """Ranges of keys over the wanted ones of the blocks that are there, for a request each.

    Args:
        here: The blocks, ascending.
        counts: Pages of each.
        wanted: Some blocks.
    """
    ranges: list[tuple[int, int]] = []
    pages, last = 0, -2
    for at in np.flatnonzero(np.isin(here, wanted)).tolist():
        low, high = int(here[at]) * BLOCK, int(here[at] + 1) * BLOCK
        if ranges and (pages + counts[at] > ROWS or len(ranges) == RANGES):
            yield ranges
            ranges, pages, last = [], 0, -2
        if at == last + 1:  # nothing lies between them
            ranges[-1] = ranges[-1][0], high
        else:
            ranges.append((low, high))
        pages, last = pages + counts[at], at
    if ranges:
        yield ranges


def pages(ids: np.ndarray, codes: np.ndarray, appearance: np.ndarray) -> dict[int, dict[str, Any]]:
    """The pages of ids, their codes and their appearance codes, by key."""
    padding = -appearance.shape[1] % 8
    fields = words_of(8 * appearance.shape[1])
    words = np.ascontiguousarray(np.pad(appearance, ((0, 0), (0, padding))))
    words = words.view(np.int64).reshape(len(ids), len(fields))
    found: dict[tuple[int, bytes], list[int]] = {}
    for row in np.argsort(ids, kind="stable").tolist():
        found.setdefault((int(ids[row]) // BLOCK, bytes(codes[row])), []).append(row)
    made = {}
    for (_, code), rows in found.items():
        owners = ids[rows].tolist()
        page = {"first": owners[0], "size": len(owners), "ids": owners, "code": code}
        looks = {name: words[rows, at].tolist() for at, name in enumerate(fields)}
        made[owners[0]] = page | looks
    return made


def radius_of(hits: list[PageHit], k: int) -> int | None:
    """Distance at which hits, nearest first, have k ids together; None if they have not."""
    at = np.searchsorted(np.cumsum([size for _, _, size in hits]), k)
    return hits[at][0] if at < len(hits) else None


def connect(address: Address) -> "MilvusClient":
    """A client of the server.

    Raises:
        SsahError: There is none.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise SsahError("Milvus needs pymilvus: pip install 'ssah-tf[milvus]'") from None
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what it logs, it raises, too
    uri, user, password, database = server_of(address)
    with faults(address):
        return MilvusClient(
            uri, user=user, password=password, db_name=database, timeout=10, dedicated=True
        )


def server_of(address: Address) -> tuple[str, str, str, str]:
    """What Milvus wants apart: address of the server, user, password, database."""
    parts = urlsplit(address.server)
    place = parts.netloc.rpartition("@")[2]
    uri = f"{'https' if address.scheme == 'milvus+https' else 'http'}://{place}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return uri, user, password, parts.path.strip("/")


@contextmanager
def faults(address: Address) -> Iterator[None]:
    """What the server refuses, as one line that shows no password.

    Raises:
        SsahError: Whatever pymilvus raises.
    """
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        raise SsahError(f"{address}: {first_line(error, str(error.message))}") from None
    except grpc.RpcError as error:
        raise SsahError(f"{address}: {error.code().name.lower()}") from None


def about(client: "MilvusClient", address: Address) -> CodesOf:
    """What the codes of an index are, as it says itself.

    Raises:
        SsahError: The name is taken by something else.
    """
    described = client.describe_collection(address.name, timeout=TIMEOUT)
    try:
        found: dict[str, Any] = parse_json(described["description"])
        if found["layout"] > LAYOUT or found["metric"] != "hamming":
            raise SsahError(
                f"{address} was made by a newer version of ssah-tf: pip install --upgrade ssah-tf"
            )
        looks = int(found.get("appearance_bits", 0))
        return CodesOf(int(found["bits"]), str(found["model_id"]), looks)
    except (ValueError, KeyError, TypeError):
        raise SsahError(
            f"{address}: the collection {address.name} is no index: choose another name"
        ) from None


def check_exact(client: "MilvusClient", address: Address) -> None:
    """Refuse a collection whose codes somebody has given another index.

    Raises:
        SsahError: It is one that finds some of the nearest only.
    """
    for name in client.list_indexes(address.name, field_name="code"):
        kind = client.describe_index(address.name, name, timeout=TIMEOUT)["index_type"]
        if kind != INDEX:
            raise SsahError(
                f"{address}: its codes have an index {kind}, by which Milvus finds some of the "
                f"nearest only: drop it, and make one of type {INDEX} with metric HAMMING"
            )


def make(client: "MilvusClient", name: str, codes: CodesOf) -> None:
    """Make the collection of an index."""
    from pymilvus import DataType

    about = {"layout": LAYOUT, "metric": "hamming", **asdict(codes)}
    schema = client.create_schema(description=json.dumps(about), enable_dynamic_field=False)
    schema.add_field("first", DataType.INT64, is_primary=True)
    schema.add_field("size", DataType.INT64)
    schema.add_field("ids", DataType.ARRAY, element_type=DataType.INT64, max_capacity=BLOCK)
    for word in words_of(codes.appearance_bits):
        schema.add_field(word, DataType.ARRAY, element_type=DataType.INT64, max_capacity=BLOCK)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8 * code_bytes(codes.bits))
    create(client, name, schema)


def create(client: "MilvusClient", name: str, schema: "CollectionSchema") -> None:
    """Make a collection with the field `code`, and load it."""
    index = client.prepare_index_params()
    index.add_index("code", index_type=INDEX, metric_type="HAMMING")
    client.create_collection(name, schema=schema, index_params=index, num_shards=1, timeout=TIMEOUT)
