"""Makes the pictures by which a browser is tried, and their pixels, by Pillow.

    python export/clients/probe.py [FOLDER]

Writes `probe.jpg`, `probe.png`, and `probe.rgb`: the pixels of both, rows of RGB.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

#: Width and height: no whole number of blocks of a JPEG, so that its edges are tried, too.
SIZE = 37, 29


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "web"
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    picture.save(folder / "probe.jpg", quality=80, subsampling="4:2:0")
    with Image.open(folder / "probe.jpg") as decoded:
        decoded.save(folder / "probe.png")
        (folder / "probe.rgb").write_bytes(decoded.tobytes())


if __name__ == "__main__":
    main()
