"""The images of a split found again: what is there, under which name, and what has changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssah_tf.data.contents import DIGITS, Contents, in_words
from ssah_tf.data.files import read_all
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.scan import scan
from ssah_tf.data.sources.by_name import load_images
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.data.split import Split
from ssah_tf.system.errors import DataError

#: Images of each finding that are named.
SHOWN = 5


@dataclass(frozen=True)
class Found:
    """What is left of the images of a split.

    Attributes:
        images: Those that are there, with the labels and classes of the split; `None` if none is.
        loaded: The source as it is now; `None` if its labels cannot be read.
        total: Images of the split.
        missing: Id -> why the image is not used: it is not there, or is another one.
        moved: Id -> where the image is now.
        relabelled: Id -> the label in the split, and the one now.
        other_classes: Classes that are new, or gone.
        new: Images that are not in the split.
        note: Why the labels of the source are not known.
    """

    images: ImageSet | None
    loaded: Loaded | None
    total: int
    missing: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    relabelled: dict[str, tuple[str, str]] = field(default_factory=dict)
    other_classes: tuple[str, ...] = ()
    new: int = 0
    note: str = ""

    def lines(self) -> list[str]:
        """What a person should know, a line each."""
        found = []
        if self.missing:
            found.append(
                f"{len(self.missing):,} of {self.total:,} images of the run cannot be used: "
                + some([f"{name!r} {why}" for name, why in self.missing.items()])
            )
        if self.moved:
            found.append(
                f"known by content, with other names: {len(self.moved):,} of {self.total:,}, "
                + some([f"{name!r} is now {path!r}" for name, path in self.moved.items()])
            )
        if self.relabelled:
            lines = [f"{name!r}: {was}, now {now}" for name, (was, now) in self.relabelled.items()]
            found.append(
                "labels that are others than in the run, which keeps its own: "
                f"{len(self.relabelled):,}, " + some(lines)
            )
        if self.other_classes:
            found.append(
                "classes that are not the same in the run: "
                + some([repr(name) for name in self.other_classes])
                + "; to learn with them begin a new run"
            )
        if self.note:
            found.append(f"{self.note}; the labels are those that the run keeps")
        if self.new:
            found.append(f"not in the run, and left out: {self.new:,} other images")
        return found


def find_again(
    split: Split, source: str | None, labels: str | None, exclude: Sequence[str] = ()
) -> Found:
    """Find the images of a split: by name and content, or by content alone.

    A split of an older version knows names only. Then labels are taken as they are now.

    Args:
        split: The split.
        source: See `load_images`.
        labels: See `load_images`; not needed where the split keeps labels.
        exclude: See `load_images`.

    Raises:
        DataError: The source cannot be used, and the split keeps no labels.
    """
    contents = split.contents
    try:
        loaded, note = load_images(source, labels, exclude), ""
    except DataError as error:
        if contents is None:
            raise
        loaded, note = None, str(error)
    if contents is None:
        assert loaded is not None
        there = set(loaded.images.ids)
        missing = {name: "is not there" for name in split.ids if name not in there}
        images = loaded.images if len(missing) < len(split.ids) else None
        return Found(images, loaded, len(split.ids), missing)
    if loaded is not None and (loaded.images.classes or not contents.classes):
        return match(split, contents, loaded)
    everything, bad = without_labels(source, exclude) if loaded is None else whole(loaded)
    if loaded is not None:
        note = f"{source}: {loaded.notes[0]}"
    if everything is None:
        why = dict.fromkeys(split.ids, "is not there")
        return Found(None, None, len(split.ids), {**why, **only(bad, why)}, note=note)
    return replace(match(split, contents, Loaded(everything, bad), False), loaded=None, note=note)


def whole(loaded: Loaded) -> tuple[ImageSet | None, dict[str, str]]:
    """The images of a source and the bad files. See `without_labels`."""
    return loaded.images, loaded.bad


def match(split: Split, contents: Contents, loaded: Loaded, labels_known: bool = True) -> Found:
    """Find the images of a split in a set. See `find_again`."""
    there = loaded.images
    if Contents.of(there) == contents:
        return Found(there, loaded, len(split.ids))  # all is as it was
    place = {name: position for position, name in enumerate(there.ids)}
    by_content = {digest[:DIGITS]: i for i, digest in reversed(list(enumerate(there.digests)))}
    at: dict[str, int] = {}
    missing, moved = {}, {}
    for name in split.ids:
        position = place.get(name)
        if position is None or not there.digests[position].startswith(contents.digests[name]):
            other = by_content.get(contents.digests[name])
            if other is None:
                missing[name] = "has another content now" if name in place else "is not there"
                continue
            moved[name] = there.ids[other]
            position = other
        at[name] = position
    missing |= only(loaded.bad, missing)
    known = {*at.values()}
    found = Found(
        take(there, contents, at),
        loaded,
        len(split.ids),
        missing,
        moved,
        new=len(
            [
                name
                for i, name in enumerate(there.ids)
                if i not in known and name not in contents.digests
            ]
        ),
    )
    if not labels_known:
        return found
    return replace(
        found,
        relabelled=relabelled(there, contents, at),
        other_classes=tuple(sorted(set(there.classes) ^ set(contents.classes))),
    )


def relabelled(
    there: ImageSet, contents: Contents, at: dict[str, int]
) -> dict[str, tuple[str, str]]:
    """Images whose labels are others now: the label then, and now. See `Found`."""
    names = np.array(there.classes, dtype=object)
    found = {}
    for name, position in at.items():
        now = names[there.labels[position] > 0].tolist()
        if {contents.classes[i] for i in contents.labels[name]} != set(now):
            found[name] = contents.label(name), in_words(now)
    return found


def take(there: ImageSet, contents: Contents, at: dict[str, int]) -> ImageSet | None:
    """Images of a set, in its order, as a split knows them: with their names and labels there."""
    ids = sorted(at, key=at.__getitem__)
    if not ids:
        return None
    positions = np.array([at[name] for name in ids])
    whole = np.array_equal(positions, np.arange(len(there)))
    of_files = tuple(there.ids[i] for i in positions)
    return replace(
        contents.image_set(ids),
        digests=tuple(there.digests[i] for i in positions),
        pixels=there.pixels if whole or there.pixels is None else there.pixels[positions],
        root=there.root,
        files=None if of_files == tuple(ids) else of_files,
    )


def without_labels(
    source: str | None, exclude: Sequence[str]
) -> tuple[ImageSet | None, dict[str, str]]:
    """The images below a folder and the bad files, whatever is wrong with their labels."""
    root = Path(source or "")
    if source is None or not root.is_dir():
        return None, {}
    try:
        ids = scan(root, exclude).paths
    except DataError:
        return None, {}
    digests, bad = read_all(root, ids)
    good = [(name, digest) for name, digest in zip(ids, digests, strict=True) if digest]
    if not good:
        return None, bad
    names, found = zip(*good, strict=True)
    labels = np.zeros((len(good), 0), np.uint8)
    return ImageSet(root.name, names, labels, (), found, root=root), bad


def only(bad: dict[str, str], missing: dict[str, str]) -> dict[str, str]:
    """Of the files that cannot be read those that are missing, with the reason in a sentence."""
    return {name: f"cannot be read ({why})" for name, why in bad.items() if name in missing}


def some(lines: list[str]) -> str:
    """The first few of some findings, and how many more there are."""
    more = f", and {len(lines) - SHOWN:,} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more
