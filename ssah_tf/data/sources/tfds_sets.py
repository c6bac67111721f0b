"""Image sets of TensorFlow Datasets: `tfds:NAME`, written out once as class folders."""

import os
import shutil
from pathlib import Path

from PIL import Image

from ssah_tf.data.sources.class_folders import load_class_folders
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.system.errors import DataError, SsahError
from ssah_tf.system.text import first_line

#: Parts of a set that are written, as folders of these names if both are there.
OFFICIAL = ("train", "test")


def load_tfds_set(name: str) -> Loaded:
    """Load a set by its name in TensorFlow Datasets, which downloads it if need be.

    Its images are written as PNG files to `SSAH_CACHE` (default `~/.cache/ssah_tf`), in the
    official parts if the set has `train` and `test`, and read from there ever after.

    Args:
        name: Name of a builder with features `image` and `label`, such as `oxford_flowers102`.

    Returns:
        As `load_class_folders`.

    Raises:
        SsahError: tensorflow-datasets is not installed.
        DataError: No such set, one without images and labels, or it cannot be downloaded.
    """
    cache = Path(os.environ.get("SSAH_CACHE") or Path.home() / ".cache" / "ssah_tf")
    folder = cache / "tfds" / name.replace("/", "-").replace(":", "-")
    if not folder.is_dir():
        write_class_folders(name, folder)
    return load_class_folders(folder)


def write_class_folders(name: str, folder: Path) -> None:
    """Write the images of a set as `folder/<part>/<class>/<number>.png`, whole or not at all."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise SsahError(
            f"tfds:{name} needs tensorflow-datasets: pip install 'ssah-tf[tfds]'"
        ) from None
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        builder = tfds.builder(name)
        builder.download_and_prepare()
        features = builder.info.features
        if not {"image", "label"} <= set(features):
            raise DataError(
                f"tfds:{name} has the features {', '.join(features)}, no image and label"
            )
        parts = [part for part in OFFICIAL if part in builder.info.splits]
        if not parts:
            raise DataError(f"tfds:{name} has no part train: {', '.join(builder.info.splits)}")
        for part in parts:
            below = making / part if len(parts) > 1 else making
            for number, row in enumerate(tfds.as_numpy(builder.as_dataset(split=part))):
                label = features["label"].int2str(int(row["label"])).replace("/", "-")
                path = below / label / f"{number:07d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = row["image"]
                Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
        making.rename(folder)
    except SsahError:
        raise
    except Exception as error:  # tfds, its downloader and its file formats each raise their own
        reason = first_line(error)
        raise DataError(f"tfds:{name} cannot be prepared ({reason})") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
