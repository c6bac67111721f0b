"""Packed binary codes and the Hamming distances between them."""

import itertools

import numpy as np

# Pairs are taken so many at a time that the temporaries stay in the processor's cache.
_BLOCK_ELEMENTS = 1 << 16


def code_bytes(bits: int) -> int:
    """Bytes of a packed code of `bits` bits; the last one is padded with zero bits."""
    return -(-bits // 8)


def full_bytes(bits: int, appearance_bits: int) -> int:
    """Bytes of a packed code with the packed appearance code behind it; that may have 0 bits."""
    return code_bytes(bits) + code_bytes(appearance_bits)


def pack_codes(u: np.ndarray) -> np.ndarray:
    """Packs real-valued network outputs, or codes in {-1, +1}, into bits by their sign.

    A value >= 0 becomes bit 1 and a value < 0 bit 0, so sign(0) is +1 here and everywhere.

    Args:
        u: Signed floats or integers `(n, bits)`.

    Returns:
        uint8 `(n, ceil(bits / 8))` in `numpy.packbits` order, the tail padded with zeros.

    Raises:
        ValueError: `u` is not a signed number array of two dimensions, or has a NaN.
    """
    u = np.asarray(u)
    if u.ndim != 2 or u.shape[1] == 0:
        raise ValueError(f"u: received shape {u.shape}, expected (n, bits) with bits >= 1")
    # In {0, 1} every value is >= 0: such an array would silently become all ones.
    if not (np.issubdtype(u.dtype, np.floating) or np.issubdtype(u.dtype, np.signedinteger)):
        raise ValueError(
            f"u: received dtype {u.dtype}, expected signed numbers (float or int); "
            "pack bits in {0, 1} with numpy.packbits(bits, axis=1)"
        )
    if np.isnan(u).any():
        raise ValueError("u: received NaN, expected numbers; the network has diverged")
    return np.packbits(u >= 0, axis=1)


def hamming_distances(query: np.ndarray, database: np.ndarray) -> np.ndarray:
    """Hamming distance of every query to every database code, exact.

    The result has `q * n` elements: give the queries in chunks if that is too much. Padded bits
    are zero on both sides and never differ, so the number of bits is not needed.

    Args:
        query: Packed codes, uint8 `(q, bytes)`.
        database: Packed codes, uint8 `(n, bytes)`.

    Returns:
        `(q, n)`, uint8 for codes of up to 31 bytes and uint16 beyond (256 bits can all differ).

    Raises:
        ValueError: Either is not uint8 of two dimensions, or their widths differ.
    """
    query, database = _as_packed("query", query), _as_packed("database", database)
    if query.shape[1] != database.shape[1]:
        raise ValueError(
            f"query: received {query.shape[1]} bytes a code, expected {database.shape[1]} "
            "as in the database; encode both with the same model"
        )
    query_words, database_words = bit_words(query), bit_words(database)
    dtype = np.uint8 if query.shape[1] < 32 else np.uint16
    distances = np.empty((len(query), len(database)), dtype=dtype)
    columns = min(max(1, len(database)), _BLOCK_ELEMENTS)
    rows = _BLOCK_ELEMENTS // columns
    for top, left in itertools.product(
        range(0, len(query), rows), range(0, len(database), columns)
    ):
        block, part = slice(top, top + rows), slice(left, left + columns)
        # (rows, 1) ^ (1, columns) -> (rows, columns), one machine word of the code at a time.
        for number, (mine, others) in enumerate(zip(query_words, database_words, strict=True)):
            apart = np.bitwise_count(mine[block, None] ^ others[None, part])
            if number:
                distances[block, part] += apart
            else:
                distances[block, part] = apart
    return distances


def bit_words(packed: np.ndarray) -> np.ndarray:
    """The packed bits of each row as machine words, the smallest unsigned type that fits.

    Args:
        packed: uint8 `(n, bytes)`.

    Returns:
        uint8, uint16, uint32 or uint64 `(words, n)`, contiguous along `n`; missing bytes are zero.
    """
    rows, width = packed.shape
    size = next((size for size in (1, 2, 4) if width <= size), 8)
    words = -(-width // size)
    if words * size != width:
        packed = np.pad(packed, ((0, 0), (0, words * size - width)))
    packed = np.ascontiguousarray(packed)
    return np.ascontiguousarray(packed.view(f"u{size}").reshape(rows, words).T)


def check_codes(name: str, codes: np.ndarray, bits: int) -> np.ndarray:
    """`codes` as an array, if they are packed codes of `bits` bits with a clean tail.

    Args:
        name: What the caller calls the codes, for the message.
        codes: uint8 `(n, ceil(bits / 8))`.
        bits: Length of a code.

    Raises:
        ValueError: Wrong dtype, dimensions, width or `bits`, no codes, or a padded bit is set.
    """
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits < 1:
        raise ValueError(f"bits: received {bits!r}, expected a whole number >= 1")
    codes = _as_packed(name, codes)
    width = code_bytes(int(bits))
    if codes.shape[1] != width:
        raise ValueError(
            f"{name}: received {codes.shape[1]} bytes a code, expected {width} for {bits} bits"
        )
    if len(codes) == 0:
        raise ValueError(f"{name}: received no codes, expected at least one")
    padding = (1 << (8 * width - int(bits))) - 1
    if (codes[:, -1] & np.uint8(padding)).any():
        raise ValueError(
            f"{name}: received ones in the padding after bit {bits}, expected zeros; "
            "check the number of bits, or pack with numpy.packbits"
        )
    return codes


def _as_packed(name: str, codes: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise ValueError(
            f"{name}: received dtype {codes.dtype}, expected packed uint8 codes; use pack_codes"
        )
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise ValueError(f"{name}: received shape {codes.shape}, expected (n, bytes)")
    return codes
