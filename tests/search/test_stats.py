"""Numbers of an index, worked out by hand."""

import json

import numpy as np
import pytest

from ssah_tf.search.backends.folder import FolderStorage
from ssah_tf.search.backends.storage import State
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.search.stats import as_lines, index_stats, radii
from ssah_tf.system.errors import SsahError


def make(folder, codes, labels, bits=8):
    held = CodeIndex(bits, "abc")
    held.add(np.arange(len(codes)), np.array(codes, np.uint8)[:, None])
    rows = [Photo(f"/p/{i}.png", "0" * 64, 1, 1, tuple(names)) for i, names in enumerate(labels)]
    table = PhotoTable.of(dict(enumerate(rows)))
    index = PhotoIndex(FolderStorage(folder), State(held, table, 4))
    index.save()
    return index


def test_by_hand(tmp_path):
    """Codes 0, 0, 1, 3 and 255; classes x, x, y, y and none.

    Pairs: (0, 0) at 0 shares x, (0, 1) twice at 1, (0, 3) twice at 2, (1, 3) at 1 shares y; each
    is counted from both sides.
    """
    index = make(tmp_path, [0, 0, 1, 3, 255], [["x"], ["x"], ["y"], ["y"], []])
    stats = index_stats(index)
    assert (stats.photos, stats.labelled, stats.classes) == (5, 4, 2)
    assert stats.buckets == {1: 3, 2: 1, 10: 0, 100: 0, 1000: 0}
    assert (stats.codes.distinct_codes, stats.codes.largest_bucket) == (4, 2)
    assert stats.codes.bit_means == pytest.approx([0.2] * 6 + [0.4, 0.6])
    found = [(r.radius, r.precision, r.recall) for r in stats.radii[:4]]
    assert found == [
        (0, 1, 0.5),
        (1, pytest.approx(2 / 4), 1),
        (2, pytest.approx(2 / 6), 1),
        (3, pytest.approx(2 / 6), 1),
    ]
    assert stats.best.radius == stats.careful.radius == 0  # F1 is 2/3 at 0 and at 1
    assert stats.disk["codes"] > 0
    assert sum(stats.disk.values()) == sum(
        p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()
    )
    assert stats.memory["codes"] == 5
    text = "\n".join(as_lines(stats))
    assert "radius             0 has the best F1" in text
    read = json.loads(json.dumps(stats.to_dict()))
    assert read["advice"] == {"best_f1": 0, "careful": 0}


def test_against_all_pairs(rng):
    codes = rng.integers(0, 256, (60, 2), dtype=np.uint8)
    labels = rng.random((60, 5)) < 0.3
    labels[labels.sum(axis=1) == 0, 0] = True
    far = np.bitwise_count(codes[:, None] ^ codes[None]).sum(axis=2)
    same = (labels.astype(int) @ labels.T.astype(int)) > 0
    upper = np.triu_indices(60, 1)
    far, same = far[upper], same[upper]
    for row in radii(codes, labels, 16):
        inside = far <= row.radius
        if inside.any():
            assert row.precision == pytest.approx(same[inside].mean())
        assert row.recall == pytest.approx((inside & same).sum() / same.sum())


def test_without_labels_and_without_photos(tmp_path):
    stats = index_stats(make(tmp_path / "some", [1, 2], [[], []]))
    assert stats.radii == []
    assert "no advice without labels" in as_lines(stats)[-1]
    with pytest.raises(SsahError, match="the index is empty"):
        index_stats(make(tmp_path / "none", np.zeros(0), []))
