import numpy as np
import pytest

from ssah_tf.metrics import hamming_distances, pack_codes
from ssah_tf.metrics.hamming import bit_words, check_codes


def test_pack_codes_by_hand():
    """Bits 1 0 1 1 0 0 0 1 | 1 with the rest of the second byte zero: 0b10110001 = 177, 128."""
    u = np.array([[0.0, -0.1, -0.0, 2.0, -1.0, -1.0, -1e-9, 1.0, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(pack_codes(u), [[177, 128]])
    assert pack_codes(u).dtype == np.uint8


@pytest.mark.parametrize("bits", [1, 7, 8, 12, 16, 24, 31, 48, 64, 65, 128, 256, 300])
def test_distances_match_unpacked_comparison(bits):
    """Every word size (1, 2, 4, 8 bytes), padded words and several words."""
    rng = np.random.default_rng(bits)
    query, database = rng.choice([-1, 1], (5, bits)), rng.choice([-1, 1], (40, bits))
    expected = (query[:, None, :] != database[None, :, :]).sum(axis=2)
    distances = hamming_distances(pack_codes(query), pack_codes(database))
    np.testing.assert_array_equal(distances, expected)
    unpacked = np.unpackbits(pack_codes(query), axis=1)
    np.testing.assert_array_equal(unpacked[:, :bits], (query + 1) // 2)
    assert not unpacked[:, bits:].any()


def test_256_different_bits_do_not_overflow():
    ones, zeros = np.full((1, 32), 255, np.uint8), np.zeros((1, 32), np.uint8)
    assert hamming_distances(ones, zeros).item() == 256
    assert hamming_distances(ones[:, :31], zeros[:, :31]).item() == 248
    assert hamming_distances(ones[:, :31], zeros[:, :31]).dtype == np.uint8


def test_codes_may_be_very_long():
    """300 bytes, 2,400 bits: all but the first byte differ."""
    ones, zeros = np.full((1, 300), 255, np.uint8), np.zeros((1, 300), np.uint8)
    ones[:, 0] = 0
    distances = hamming_distances(ones, zeros)
    assert (distances.item(), distances.dtype) == (299 * 8, np.uint16)


def test_blocks_of_queries_are_put_together():
    """More query-database pairs than one block of 2^16, and a last block that is not full."""
    rng = np.random.default_rng(0)
    query = rng.integers(0, 256, (301, 3), dtype=np.uint8)
    database = rng.integers(0, 256, (1000, 3), dtype=np.uint8)
    expected = np.unpackbits(query[:, None] ^ database[None], axis=2).sum(axis=2)
    np.testing.assert_array_equal(hamming_distances(query, database), expected)


@pytest.mark.parametrize(
    ("width", "words", "size"), [(1, 1, 1), (2, 1, 2), (3, 1, 4), (4, 1, 4), (5, 1, 8), (17, 3, 8)]
)
def test_words_are_the_smallest_that_fit(width, words, size):
    packed = np.arange(2 * width, dtype=np.uint8).reshape(2, width)
    found = bit_words(packed)
    assert (found.shape, found.dtype) == ((words, 2), np.dtype(f"u{size}"))
    whole = np.ascontiguousarray(found.T).view(np.uint8)
    np.testing.assert_array_equal(whole[:, :width], packed)
    assert not whole[:, width:].any()


def test_rows_of_a_transposed_array():
    codes = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(3, 8))
    np.testing.assert_array_equal(
        hamming_distances(codes, codes),
        hamming_distances(np.ascontiguousarray(codes), np.ascontiguousarray(codes)),
    )


@pytest.mark.parametrize(
    ("u", "message"),
    [
        (np.zeros(8), r"received shape \(8,\), expected \(n, bits\)"),
        (np.zeros((3, 0)), r"received shape \(3, 0\)"),
        (np.zeros((3, 2, 1)), r"received shape \(3, 2, 1\)"),
        (np.ones((2, 8), bool), "received dtype bool, expected signed numbers.*numpy.packbits"),
        (np.ones((2, 8), np.uint8), "received dtype uint8, expected signed numbers"),
        (np.array([[1.0, np.nan]]), "received NaN"),
    ],
)
def test_pack_codes_refuses(u, message):
    with pytest.raises(ValueError, match=f"^u: {message}"):
        pack_codes(u)


@pytest.mark.parametrize(
    ("query", "database", "message"),
    [
        (np.zeros((2, 8), np.float32), np.zeros((2, 8), np.uint8), "query: received dtype float32"),
        (np.zeros((2, 8), np.uint8), np.zeros((2, 8), np.int64), "database: received dtype int64"),
        (np.zeros(8, np.uint8), np.zeros((2, 8), np.uint8), r"query: received shape \(8,\)"),
        (np.zeros((2, 8), np.uint8), np.zeros((2, 8, 1), np.uint8), r"database: .* \(2, 8, 1\)"),
        (np.zeros((2, 8), np.uint8), np.zeros((2, 6), np.uint8), "received 8 bytes.*expected 6"),
        (np.zeros((2, 6), np.uint8), np.zeros((2, 8), np.uint8), "received 6 bytes.*expected 8"),
        (np.zeros((2, 0), np.uint8), np.zeros((2, 6), np.uint8), r"query: received shape \(2, 0\)"),
    ],
)
def test_hamming_distances_refuses(query, database, message):
    with pytest.raises(ValueError, match=message):
        hamming_distances(query, database)


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.zeros((2, 2), np.uint8), 17, "received 2 bytes a code, expected 3 for 17 bits"),
        (np.zeros((2, 2), np.uint8), 8, "received 2 bytes a code, expected 1 for 8 bits"),
        (np.zeros((0, 2), np.uint8), 16, "received no codes"),
        (np.array([[0, 16], [0, 8]], np.uint8), 12, "ones in the padding after bit 12"),
        (np.zeros((2, 2), np.uint8), 0, "bits: received 0"),
        (np.zeros((2, 2), np.uint8), -1, "bits: received -1"),
        (np.zeros((2, 2), np.uint8), 16.0, "bits: received 16.0"),
        (np.zeros((2, 1), np.uint8), True, "bits: received True"),
    ],
)
def test_codes_that_are_refused(codes, bits, message):
    with pytest.raises(ValueError, match=message):
        check_codes("codes", codes, bits)


@pytest.mark.parametrize("bits", [1, 4, 7, 8, 9, 12, 15, 16, 2400])
def test_every_bit_is_a_real_one_or_padding(bits):
    real = np.packbits(np.ones((1, bits), np.uint8), axis=1)
    assert check_codes("codes", real, bits) is real
    for bit in range(bits, 8 * real.shape[1]):
        codes = np.packbits(np.arange(8 * real.shape[1])[None] == bit, axis=1)
        with pytest.raises(ValueError, match=f"ones in the padding after bit {bits}"):
            check_codes("codes", np.concatenate([real, codes]), bits)
