"""Which features that the candidates share are kept already, so that they cost no time."""

from pathlib import Path

from ssah_tf.data import ImageSet, Split
from ssah_tf.encoding.feature_parts import names_kept
from ssah_tf.training.choose.record import Record
from ssah_tf.training.hash_layer.features import training_positions


def contents_seen(images: ImageSet, split: Split, most: int) -> frozenset[str]:
    """Contents of the images whose features the candidates share; see `training_positions`."""
    return frozenset(images.digests[p] for p in training_positions(split, images, most).tolist())


def recount(record: Record, images: ImageSet, split: Split, folder: Path) -> None:
    """Correct the seconds of the features in a plan by those that were computed since.

    Args:
        record: The plan.
        images: The images.
        split: Their parts.
        folder: Where parts lie.
    """
    if record.to_compute:
        contents = contents_seen(images, split, record.planned[0].recipe.train.most_unlabelled)
        missing = len(contents - names_kept(folder, record.feature_key))
        record.features *= missing / record.to_compute
        record.to_compute, record.kept = missing, len(contents) - missing
