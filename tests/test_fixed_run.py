"""What a finished run comes to stays as it is: numbers, model id, codes and search results.

The run in `fixed_run/run` was trained once. `python tests/test_fixed_run.py` writes
`fixed_run/expected.json` anew. A change there is a change of behaviour: the changelog names it.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FIXED = Path(__file__).with_name("fixed_run")
#: Logits this close to 0 are decided by rounding, as `ssah verify` has it.
UNDECIDED = 1e-4
IMAGES, QUERIES, NEIGHBOURS = 50, 20, 10


def outcome(run_folder, folder):
    """Numbers, model id, codes of 50 images, and what 20 queries find in an index of 50 photos."""
    from ssah_tf import Encoder
    from ssah_tf.data import load_fashion
    from ssah_tf.export.export import export
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.training.evaluate import evaluate
    from ssah_tf.training.run import Run

    run, images = Run.open(run_folder), load_fashion()
    metrics = evaluate(run, images)
    manifest = export(run, images, folder / "export")
    encoder = Encoder.load(folder / "export")
    positions = np.random.default_rng(0).permutation(len(images))[: IMAGES + QUERIES]
    paths = []
    for number, pixels in enumerate(images.read(positions, 28)):
        paths.append(folder / "photos" / f"{number:02d}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(paths[-1])
    index = PhotoIndex.open(folder / "index", encoder)
    index.sync(encoder, paths[:IMAGES])
    found = index.neighbours(encoder.encode(paths[IMAGES:]), NEIGHBOURS)
    return {
        "model_id": manifest["model_id"],
        "metrics": metrics,
        "codes": [code.tobytes().hex() for code in encoder.encode(paths[:IMAGES])],
        "logits": encoder.logits(paths[:IMAGES]).round(6).tolist(),
        "neighbours": [
            [[Path(hit.photo.path).stem, hit.distance] for hit in near] for near in found
        ],
    }


def copy_of_run(folder):
    """The run in a folder of its own, for numbers are written into it."""
    return Path(shutil.copytree(FIXED / "run", folder / "run"))


def assert_close(ours, theirs, where="metrics"):
    """The same keys in the same order, texts and counts equal, other numbers to six digits."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key, value in theirs.items():
            assert_close(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_close(*pair, f"{where}[{number}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=1e-6), where
    else:
        assert ours == theirs, where


@pytest.fixture(scope="module")
def found(tmp_path_factory, logical_cpus):
    folder = tmp_path_factory.mktemp("fixed")
    return outcome(copy_of_run(folder), folder)


@pytest.fixture(scope="module")
def expected():
    return json.loads((FIXED / "expected.json").read_bytes())


def test_model_id(found, expected):
    assert found["model_id"] == expected["model_id"]


def test_codes_of_fifty_images(found, expected):
    ours, theirs = (
        np.unpackbits(np.array([list(bytes.fromhex(code)) for code in one["codes"]], np.uint8), 1)
        for one in (found, expected)
    )
    decided = np.abs(np.array(expected["logits"])) >= UNDECIDED
    assert ours.shape == theirs.shape == (IMAGES, 16)
    assert decided.mean() > 0.99
    np.testing.assert_array_equal(ours[decided], theirs[decided])
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)


def test_results_of_twenty_queries(found, expected):
    assert len(found["neighbours"]) == QUERIES
    assert found["neighbours"] == expected["neighbours"]


def test_numbers(found, expected):
    stored = json.loads((FIXED / "run" / "metrics.json").read_bytes())
    assert stored == expected["metrics"]
    assert_close(found["metrics"], stored)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        made = outcome(copy_of_run(Path(scratch)), Path(scratch))
    (FIXED / "expected.json").write_text(json.dumps(made))
    (FIXED / "run" / "metrics.json").write_text(json.dumps(made["metrics"], indent=1))
    sys.exit(0)
