"""An encoder that needs no network."""

import os

import pytest


class FakeEncoder:
    """A code is the first byte of the image.

    It counts what it has encoded. Its file is larger than what one entity of Milvus holds.
    """

    bits, image_size = 8, 4
    appearance_bits = 0

    def __init__(self, folder, model_id="abc"):
        self.model_id = model_id
        self.path = folder / "fake.onnx"
        self.path.write_bytes(os.urandom(100_000))
        self.images = 0

    def encode(self, images):
        self.images += len(images)
        return images[:, 0, 0, :1].copy()

    def full_codes(self, images):
        return self.encode(images)


@pytest.fixture
def fake_encoder(tmp_path):
    """Makes an encoder of a model id."""
    return lambda model_id: FakeEncoder(tmp_path, model_id)


@pytest.fixture
def encoder(fake_encoder):
    """The encoder of an index."""
    return fake_encoder("abc")
