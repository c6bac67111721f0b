"""What an export is compared on: every image by what clients call, some by what is beside it."""

from types import SimpleNamespace

import numpy as np
import pytest

from ssah_tf.export import verify
from ssah_tf.export.export import compared_on
from ssah_tf.system.errors import SsahError

IMAGES = 600


@pytest.fixture
def artefacts(monkeypatch, tmp_path):
    """An export whose encoders give `answers[runtime][output]`, and note how many they are asked.

    Images hold their number. Gives the folder, the answers, and what was asked.
    """
    codes = np.random.default_rng(0).integers(0, 256, (IMAGES, 3), dtype=np.uint8)
    names = ("onnxruntime", "tensorflow")
    answers = {name: {"codes": codes.copy(), "all": codes.copy()} for name in names}
    asked = []

    class Encoder:
        bits, appearance_bits = 16, 8

        def __init__(self, runtime):
            self.runtime = runtime

        @classmethod
        def load(cls, folder, runtime="onnxruntime"):
            return cls(runtime)

        def give(self, output, images):
            asked.append((self.runtime, output, len(images)))
            return answers[self.runtime][output][images[:, 0].astype(int)]

        def encode(self, images):
            return self.give("codes", images)[:, :2]

        def full_codes(self, images):
            return self.give("all", images)

        def logits(self, images):
            return np.unpackbits(self.give("all", images)[:, :2], axis=1) - 0.5

    monkeypatch.setattr(verify, "Encoder", Encoder)
    (tmp_path / "encoder.onnx").write_bytes(b"")
    (tmp_path / "saved_model" / "1").mkdir(parents=True)
    images = np.arange(IMAGES)[:, None]

    def compare(sure=255):
        return verify.compare(tmp_path, images, codes, np.full_like(codes, sure))

    return SimpleNamespace(answers=answers["tensorflow"], asked=asked, compare=compare)


def test_each_image_is_run_once(artefacts):
    """But for some of TensorFlow's second signature."""
    assert artefacts.compare() == {"encoder.onnx": 0, "saved_model/1": 0}
    assert artefacts.asked == [
        ("onnxruntime", "all", IMAGES),
        ("tensorflow", "all", verify.SECOND),
        ("tensorflow", "codes", IMAGES),
        ("tensorflow", "all", verify.SECOND),
    ]


@pytest.mark.parametrize(
    ("output", "row", "byte"),
    [("codes", 1, 0), ("codes", 599, 1), ("all", 0, 0), ("all", 599, 1), ("all", 599, 2)],
)
def test_a_bit_that_differs(artefacts, output, row, byte):
    """In any image by the first signature, at either end by the second, appearance included."""
    artefacts.answers[output][row, byte] ^= 1
    with pytest.raises(SsahError, match="saved_model/1: 1 of 14,400 bits differ"):
        artefacts.compare()
    assert artefacts.compare(sure=254) == {"encoder.onnx": 0, "saved_model/1": 1}


def test_codes_of_another_length(artefacts):
    artefacts.answers["all"] = artefacts.answers["all"][:, :2]
    with pytest.raises(SsahError, match="codes of 2 bytes instead of 3, those of appearance"):
        artefacts.compare()


@pytest.mark.parametrize(
    ("size", "there", "expected"), [(28, 12_000, 10_000), (224, 3_000, 996), (224, 90, 90)]
)
def test_large_images_are_fewer_and_spread_evenly(size, there, expected):
    names = [f"{number}" for number in range(there)]
    asked = []

    def read(ids):
        asked.extend(ids)
        return np.zeros((len(ids), 1, 1, 3), np.uint8)

    run = SimpleNamespace(
        whole_split=SimpleNamespace(query=tuple(names[:50]), database=tuple(names[50:])),
        recipe=SimpleNamespace(data=SimpleNamespace(image_size=size, keep_sample=True)),
    )
    pictures = SimpleNamespace(place=dict.fromkeys(names), kept=("kept",), read=read)
    _, sources = compared_on(run, pictures)
    numbers = np.array([int(name) for name in asked if name != "kept"])
    assert sources["images"] == expected + sources["kept"]
    assert sources["kept"] == (there == 90)  # there is room
    assert len(numbers) == expected
    assert numbers[0] == 0
    assert np.diff(numbers).max() - np.diff(numbers).min() <= 1


def test_how_near_to_0_rounding_decides(rng):
    expected = rng.normal(size=(64, 48))
    noise = rng.normal(size=expected.shape)
    assert verify.rounding(expected + 1e-6 * noise, expected) == verify.UNDECIDED
    margin = verify.rounding(expected + 1e-4 * noise, expected)
    assert margin == pytest.approx(16 * 1e-4 * np.median(np.abs(noise)))
    assert margin > 1e-4 * np.abs(noise).max()
    with pytest.raises(SsahError, match="rounding would explain"):
        verify.rounding(expected + 1e-2 * noise, expected)
    with pytest.raises(SsahError, match="rounding would explain"):
        verify.rounding(np.full_like(expected, np.nan), expected)
    sure = verify.decided(np.array([[1e-3, -1e-3, 1e-5, 1.0]]), margin=5e-4)
    assert np.unpackbits(sure).tolist() == [1, 1, 0, 1, 0, 0, 0, 0]
