"""Image sets that come as arrays, in an official training and test part."""

import numpy as np

from ssah_tf.data.image_set import ImageSet, content_digest


def array_set(name: str, parts: dict[str, tuple], classes: tuple[str, ...]) -> ImageSet:
    """The image set of a training and a test part; the test part is its official queries.

    Args:
        name: What the set is called.
        parts: `train` and `test` -> images, uint8 `(n, side, side)` or `(n, side, side, 3)`, and
            numbers of their classes, `(n,)` or `(n, 1)`.
        classes: Class names.

    Returns:
        Images in memory, ids `train/00000`, ... and `test/00000`, ...; grey is repeated over three
        channels.
    """
    pixels = np.concatenate([images for images, _ in parts.values()])
    digests = tuple(content_digest(image.tobytes()) for image in pixels)
    if pixels.ndim == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    target = np.concatenate([numbers.reshape(-1) for _, numbers in parts.values()])
    ids = tuple(
        f"{part}/{i:05d}" for part, (images, _) in parts.items() for i in range(len(images))
    )
    return ImageSet(
        name=name,
        ids=ids,
        labels=np.eye(len(classes), dtype=np.uint8)[target],
        classes=classes,
        digests=digests,
        pixels=pixels,
        official_queries=tuple(i for i in ids if i.startswith("test/")),
    )
