"""Milvus: more hits than it gives, clients that are killed, refusals that show no password."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from ssah_tf.search.backends import milvus as module
from ssah_tf.search.backends.milvus import MilvusIndex
from ssah_tf.search.backends.milvus_photos import MilvusPhotos, as_entity
from ssah_tf.search.backends.schemes import parse_address
from ssah_tf.search.backends.stored import CodesOf
from ssah_tf.search.photo_table import Photo
from ssah_tf.system.errors import SsahError

pytest.importorskip("pymilvus")

#: Turns ids round and round: each update gives one block the next code.
CLIENT = """
import sys
import numpy as np
from ssah_tf.search.backends.milvus import MilvusIndex
from ssah_tf.search.backends.schemes import parse_address

index = MilvusIndex.open(parse_address(sys.argv[1]))
turn = int(sys.argv[2])
print("open", flush=True)
while True:
    turn += 1
    ids = np.arange(300)
    index.update(ids, ((ids + turn) % 7).astype(np.uint8).reshape(-1, 1))
    print(turn, flush=True)
"""


def test_refusals_show_no_password():
    with pytest.raises(SsahError) as caught:
        MilvusIndex.open(parse_address("milvus://me:s3cret@127.0.0.1:1/db/NAME"))
    assert str(caught.value).startswith("milvus://me@127.0.0.1:1/db/NAME: ")
    assert "s3cret" not in str(caught.value)
    address = parse_address("milvus+https://me:s%2Fcret@[::1]:19530/db/NAME")
    assert module.server_of(address) == ("https://[::1]:19530", "me", "s/cret", "db")
    for text in ("milvus://host:1/", "milvus://host:1/a/b/c", "milvus://me:s3cret@host:x/NAME"):
        with pytest.raises(SsahError, match=r"expected milvus://HOST:PORT/NAME") as caught:
            parse_address(text)
        assert "s3cret" not in str(caught.value)


def test_pages():
    """Ids of one code in one block, by hand."""
    codes = np.array([[1], [2], [1], [1]], np.uint8)
    found = module.pages(np.array([4095, 3, -1, 7]), codes, np.zeros((4, 0), np.uint8))
    assert {first: (page["ids"], page["code"]) for first, page in found.items()} == {
        -1: ([-1], b"\1"),
        3: ([3], b"\2"),
        7: ([7, 4095], b"\1"),
    }


def test_requests_are_not_too_large(monkeypatch):
    """Blocks 0, 1, 5, 6, 9 are there, 0, 1, 6, 9 are wanted: as few ranges as can be."""
    monkeypatch.setattr(module, "BLOCK", 10)
    monkeypatch.setattr(module, "ROWS", 6)
    here, counts = np.array([0, 1, 5, 6, 9]), np.array([2, 2, 1, 2, 9])
    wanted = np.array([0, 1, 3, 6, 9])
    assert list(module.grouped(here, counts, wanted)) == [[(0, 20), (60, 70)], [(90, 100)]]
    monkeypatch.setattr(module, "ROWS", 100)
    assert list(module.grouped(here, counts, wanted)) == [[(0, 20), (60, 100)]]
    assert list(module.grouped(here, counts, here)) == [[(0, 100)]]
    monkeypatch.setattr(module, "RANGES", 1)
    assert list(module.grouped(here, counts, np.array([0, 6]))) == [[(0, 10)], [(60, 70)]]


@pytest.mark.slow
def test_more_ties_than_hits(milvus, monkeypatch):
    """As if Milvus gave 8 hits at most: all are found by halves, in the order of (distance, id)."""
    monkeypatch.setattr(module, "HITS", 8)
    monkeypatch.setattr(module, "MORE", 2)
    index = MilvusIndex.open(parse_address(milvus("halves")), CodesOf(16, "m"))
    rng = np.random.default_rng(0)
    codes = np.packbits(rng.random((200, 16)) < 0.15, axis=1)
    ids = rng.permutation(200) * 4096  # a page each
    index.add(ids, codes)
    query = np.zeros((1, 2), np.uint8)
    far = np.bitwise_count(codes).sum(axis=1)
    order = np.lexsort((ids, far))
    for k in (1, 5, 60, 300):
        found, distances = index.search(query, k)
        np.testing.assert_array_equal(found[0], ids[order][:k])
        np.testing.assert_array_equal(distances[0], far[order][:k])
    for radius in (0, 1, 3, 16):
        found, _ = index.range_search(query, radius)[0]
        np.testing.assert_array_equal(found, ids[order][far[order] <= radius])
    index.close()


@pytest.mark.slow
def test_more_ids_than_hits(milvus):
    """20,000 codes of which 17,000 are at one distance, truly more than 16,384."""
    index = MilvusIndex.open(parse_address(milvus("many")), CodesOf(32, "m"))
    codes = np.arange(20_000, dtype=">u4").view(np.uint8).reshape(-1, 4).copy()
    codes[:17_000] = [255, 255, 255, 255]
    ids = np.arange(20_000) * 4096
    index.add(ids, codes)
    assert len(index) == 20_000
    (found, far), (some, _) = index.range_search(np.full((2, 4), 255, np.uint8), 12)
    assert (far[:17_000] == 0).all()
    assert (far[17_000:] > 0).all()
    np.testing.assert_array_equal(found[:17_000], ids[:17_000])
    np.testing.assert_array_equal(found, some)
    found, far = index.search(np.full((1, 4), 255, np.uint8), 16_990)
    np.testing.assert_array_equal(found[0], ids[:16_990])
    assert not far.any()
    index.close()


@pytest.mark.slow
def test_a_client_killed_in_an_update(milvus):
    """`kill -9` at random moments, 20 times: each id is there once, all with codes of one turn."""
    where, rng, turn = milvus("killed"), np.random.default_rng(0), 0
    ids = np.arange(300)
    index = MilvusIndex.open(parse_address(where), CodesOf(8, "m"))
    index.add(ids, (ids % 7).astype(np.uint8).reshape(-1, 1))
    index.close()
    for _ in range(20):
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, where, str(turn)], stdout=subprocess.PIPE, text=True
        )
        assert client.stdout.readline() == "open\n"
        client.stdout.readline()
        threading.Event().wait(rng.uniform(0, 0.1))
        client.send_signal(signal.SIGKILL)
        client.communicate()
        index = MilvusIndex.open(parse_address(where))
        assert len(index) == 300
        ((here, codes),) = index.items()
        np.testing.assert_array_equal(here, ids)
        turn = int(codes[0, 0])
        np.testing.assert_array_equal(codes[:, 0], (ids + turn) % 7)
        found, distances = index.search(codes[:1], 43)
        np.testing.assert_array_equal(found[0], ids[::7])
        assert not distances.any()
        index.close()


@pytest.mark.slow
def test_copies_of_another_writer_are_told(milvus):
    """Milvus takes entities whose keys are there; its answers then lack others, in silence."""
    index = MilvusIndex.open(parse_address(milvus("copies")), CodesOf(16, "m"))
    codes = np.array([[n, n] for n in range(40)], np.uint8)
    ids = np.arange(40) * 4096  # a page each
    index.add(ids, codes)
    pages = index.as_pages(ids, codes)
    index.client.insert(index.address.name, [pages[0]] * 200)
    index.pages.see_all()
    raw = index.hits(codes[:1], 64)
    assert len(raw[0]) < 40  # the copies took the places of the others
    with pytest.raises(SsahError, match=r"Milvus finds 1 of 240 entities: another program wrote"):
        index.search(codes[:1], 5)
    with pytest.raises(SsahError, match="another program wrote some of them twice"):
        len(index)
    with pytest.raises(SsahError, match="another program wrote some of them twice"):
        list(index.items())
    index.close()


@pytest.mark.slow
def test_copies_take_no_rows_of_a_search_by_radius(milvus, monkeypatch):
    """They count for the limit of 16,384, here 64, and take the places of others in queries."""
    codes = np.array([[n, n] for n in range(40)], np.uint8)
    single, twice = np.arange(40) * 4096, np.arange(80) // 2 * 4096 + np.arange(80) % 2
    for name, ids, hits in (("by_limit", single, 64), ("by_query", twice, module.HITS)):
        monkeypatch.setattr(module, "HITS", hits)
        index = MilvusIndex.open(parse_address(milvus(name)), CodesOf(16, "m"))
        its = np.repeat(codes, len(ids) // 40, axis=0)
        index.add(ids, its)
        pages = index.as_pages(ids, its)
        assert len(index.range_search(codes[:1], 16)[0][0]) == len(ids)
        index.client.insert(index.address.name, [pages[0]])  # few of them take nothing
        index.pages.see_all()
        assert len(index.range_search(codes[1:2], 0)[0][0]) == len(ids) // 40
        index.client.insert(index.address.name, [pages[0]] * 200)
        index.pages.see_all()
        with pytest.raises(SsahError, match="another program wrote some of them twice"):
            index.range_search(codes[:1], 16)
        assert index.range_search(codes[39:], 0)[0][0].tolist() == ids[its[:, 0] == 39].tolist()
        index.close()


@pytest.mark.slow
def test_copies_of_photos_are_told(milvus):
    with MilvusPhotos.open(parse_address(milvus("twice")), CodesOf(16, "m")).index as index:
        photos = MilvusPhotos(index)
        many = {n: Photo(f"/{n}.jpg", "00" * 32, 1, 1) for n in range(40)}
        photos.put_photos(many)
        assert photos.photos() == photos.photos(range(40)) == many
        index.client.insert(photos.rows.name, [as_entity(0, many[0])] * 200)
        photos.rows.see_all()
        for ids in (None, range(40)):
            with pytest.raises(SsahError, match="another program wrote some of them twice"):
                photos.photos(ids)


@pytest.mark.slow
def test_an_index_that_is_not_exact_is_refused(milvus):
    address = parse_address(milvus("graph"))
    with MilvusIndex.open(address, CodesOf(16, "m")) as index:
        client, name = index.client, address.name
        client.release_collection(name)
        client.drop_index(name, "code")
        other = client.prepare_index_params()
        other.add_index(
            "code", index_type="BIN_IVF_FLAT", metric_type="HAMMING", params={"nlist": 16}
        )
        client.create_index(name, other)
    with pytest.raises(SsahError, match="its codes have an index BIN_IVF_FLAT, by which Milvus"):
        MilvusIndex.open(address)


@pytest.mark.slow
def test_other_collections_are_refused(milvus):
    address = parse_address(milvus("other"))
    client = module.connect(address)
    client.create_collection(address.name, dimension=8)
    with pytest.raises(SsahError, match=r"the collection other.* is no index"):
        MilvusIndex.open(address, CodesOf(8, "m"))
    client.close()
    with pytest.raises(SsahError, match=r"none.*: no index; make one with `ssah index`"):
        MilvusIndex.open(parse_address(milvus("none")))
