"""Image sets that Keras downloads: `keras:cifar10`, `keras:cifar100`, `keras:fashion_mnist`."""

from ssah_tf.data.arrays import array_set
from ssah_tf.data.fashion import CLASSES as FASHION
from ssah_tf.data.image_set import ImageSet
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import first_line

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

#: Name of each set -> its class names; numbers where Keras has none.
KERAS_SETS = {
    "cifar10": CIFAR10,
    "cifar100": tuple(f"{i:02d}" for i in range(100)),
    "fashion_mnist": FASHION,
}


def load_keras_set(name: str) -> ImageSet:
    """Load a set by its name in `keras.datasets`; its test part is the official queries.

    Returns:
        Training and test images in memory, ids `train/00000`, ... and `test/00000`, ...

    Raises:
        DataError: No such set, or it is not in Keras' cache and cannot be downloaded.
    """
    if name not in KERAS_SETS:
        raise DataError(f"keras:{name}: choose from {', '.join(KERAS_SETS)}")
    import keras

    try:
        parts = getattr(keras.datasets, name).load_data()
    except Exception as error:  # urllib, ssl, hashes and files each raise their own
        reason = first_line(error)
        raise DataError(
            f"keras:{name} is not on this machine and cannot be downloaded ({reason}); run "
            f"`python -c 'import keras; keras.datasets.{name}.load_data()'` where there is a "
            "network, and copy ~/.keras/datasets here"
        ) from None
    return array_set(
        f"keras:{name}", dict(zip(("train", "test"), parts, strict=True)), KERAS_SETS[name]
    )
