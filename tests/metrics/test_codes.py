import json

import numpy as np
import pytest

from ssah_tf.metrics import bit_correlation, code_statistics, pack_codes

CODES = pack_codes(
    np.array(
        [
            [1, 1, 1, -1],
            [1, 1, 1, -1],
            [1, -1, -1, -1],
            [-1, -1, 1, -1],
        ]
    )
)


def test_by_hand():
    """Shares of ones 3/4, 2/4, 3/4, 0; distances to 1/2: 1/4, 0, 1/4, 1/2, mean 1/4.

    Correlations of the three living bits: bits 0 and 1 are both one in 2 of 4, so
    (1/2 - 3/8) / sqrt(3/16 * 1/4) = 0.57735; bits 0 and 2 also in 2 of 4:
    (1/2 - 9/16) / (3/16) = -1/3; bits 1 and 2 in 2 of 4: 0.57735 again.
    """
    statistics = code_statistics(CODES, 4)
    assert statistics.codes == 4
    assert statistics.bits == 4
    assert statistics.distinct_codes == 3
    assert statistics.largest_bucket == 2
    assert statistics.bit_means == (0.75, 0.5, 0.75, 0.0)
    assert statistics.mean_imbalance == 0.25
    assert statistics.worst_bit == 3
    assert statistics.constant_bits == 1
    assert statistics.mean_bit_correlation == pytest.approx((2 / np.sqrt(3) + 1 / 3) / 3, abs=1e-12)


def test_matches_numpy_on_many_codes():
    """More codes than one chunk of 8,192, 12 bits in two bytes."""
    rng = np.random.default_rng(0)
    ones = rng.random((20_000, 12)) < np.linspace(0.2, 0.7, 12)
    ones[:, 1] = ones[:, 0] ^ (rng.random(20_000) < 0.1)
    statistics = code_statistics(np.packbits(ones, axis=1), 12)
    correlation = np.abs(np.corrcoef(ones.T))
    expected = (correlation.sum() - 12) / (12 * 11)
    assert statistics.mean_bit_correlation == pytest.approx(expected, abs=1e-10)
    assert statistics.bit_means == pytest.approx(ones.mean(axis=0), abs=1e-12)
    assert statistics.distinct_codes == len({tuple(row) for row in ones.tolist()})


def test_collapsed_codes_have_no_correlation():
    statistics = code_statistics(np.zeros((7, 2), np.uint8), 16)
    assert statistics.distinct_codes == 1
    assert statistics.largest_bucket == 7
    assert statistics.mean_imbalance == 0.5
    assert statistics.constant_bits == 16
    assert statistics.mean_bit_correlation is None


def test_bits_that_never_change_have_no_correlation():
    """Always 1, always 0, and living ones: one of them has no other, two are opposites."""
    one = code_statistics(pack_codes(np.array([[1, -1, 1], [1, -1, -1]])), 3)
    assert (one.constant_bits, one.mean_bit_correlation) == (2, None)
    two = code_statistics(pack_codes(np.array([[1, -1, 1, -1], [1, -1, -1, 1]])), 4)
    assert (two.constant_bits, two.mean_bit_correlation) == (2, 1.0)
    assert two.worst_bit == 0


def test_to_dict_is_json_ready():
    statistics = code_statistics(CODES, 4)
    read = json.loads(json.dumps(statistics.to_dict(), allow_nan=False))
    assert read == statistics.to_dict()
    assert read["bit_means"] == [0.75, 0.5, 0.75, 0.0]


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.zeros((3, 2), np.float32), 16, "codes: received dtype float32"),
        (np.zeros((3, 2), np.uint8), 24, "codes: received 2 bytes a code, expected 3 for 24 bits"),
        (np.zeros((0, 2), np.uint8), 16, "codes: received no codes"),
        (np.ones((3, 2), np.uint8), 12, "codes: received ones in the padding"),
    ],
)
def test_refuses(codes, bits, message):
    with pytest.raises(ValueError, match=message):
        code_statistics(codes, bits)


def test_bit_correlation_is_that_of_numpy(rng):
    codes = rng.integers(0, 256, (50, 2), dtype=np.uint8)
    codes[:, 1] &= 0b10111111  # one bit is constant
    ones = np.unpackbits(codes, axis=1).astype(float)
    keep = np.delete(np.arange(16), 9)
    expected = np.abs(np.corrcoef(ones[:, keep], rowvar=False))
    np.testing.assert_allclose(bit_correlation(codes, 16)[np.ix_(keep, keep)], expected, atol=1e-5)
    assert not bit_correlation(codes, 16)[9].any()
