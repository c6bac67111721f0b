"""What tests of trainings share."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty pictures of two colours."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for k in range(60):
        path = root / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        colour = np.array([(255, 60, 30), (20, 90, 255)][k % 2])
        pixels = np.clip(colour + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return root
