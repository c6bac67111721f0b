"""An image set, and what was left out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.scan import PassedOver


@dataclass(frozen=True)
class Loaded:
    """An image set, and what was left out of it.

    Attributes:
        images: The set.
        bad: Files that cannot be read -> the reason.
        missing: Paths of the label file for which there is no file.
        unread: Paths of the label file whose file is passed over -> the reason.
        passed: What the scan of the folder left out.
        parts: Folders of an official split -> "train" or "query"; empty if there is none.
        notes: What else a person should know, a line each.
    """

    images: ImageSet
    bad: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unread: Mapping[str, str] = field(default_factory=dict)
    passed: PassedOver = field(default_factory=PassedOver)
    parts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
