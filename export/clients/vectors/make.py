"""Makes the test vectors of the resize rule, by Pillow: pixels in, pixels out.

    python export/clients/vectors/make.py [FOLDER]

Writes a file a vector: `WIDTHxHEIGHT-CHANNELS-SIZE.bin`, the bytes of the picture and behind them
those of the result.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data.upright import Upright

#: Width, height, channels, size. From one pixel to a few hundred; enlarged, kept, made smaller;
#: wide, tall, odd differences of the sides; whole and broken ratios.
VECTORS = [
    *((side, side, 3, 28) for side in (1, 2, 3, 5, 13, 27, 28, 29, 31, 55, 56, 57, 84, 111, 140)),
    *((side, side, 3, 32) for side in (31, 32, 33, 63, 64, 65, 96, 100)),
    *((w, h, 3, 28) for w, h in ((1, 200), (200, 1), (2, 9), (30, 29), (29, 30), (61, 40))),
    *((w, h, 3, 28) for w, h in ((40, 61), (117, 64), (64, 117), (99, 100), (150, 37))),
    *((side, side, 3, 1) for side in (1, 2, 7, 64)),
    *((w, h, 3, 7) for w, h in ((50, 49), (10, 80))),
    *((w, h, 4, 28) for w, h in ((28, 28), (27, 27), (60, 60), (90, 61), (33, 70), (1, 1))),
]


def picture(width: int, height: int, channels: int, number: int) -> np.ndarray:
    """Noise, steps between black and white, or a slope, in turn."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    if number % 3 == 1:
        pixels[..., :3] = (pixels[..., :3] > 127) * np.uint8(255)
    if number % 3 == 2:
        slope = np.linspace(0, 255, width * height).reshape(height, width, 1)
        pixels[..., :3] = slope.astype(np.uint8)
    return pixels


def main() -> None:
    """Write the vectors."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for number, (width, height, channels, size) in enumerate(VECTORS):
        pixels = picture(width, height, channels, number)
        result = Upright(Image.fromarray(pixels)).square(size)
        name = f"{width}x{height}-{channels}-{size}.bin"
        (folder / name).write_bytes(pixels.tobytes() + result.tobytes())


if __name__ == "__main__":
    main()
