"""Self-training: the encoder of a finished run labels images, and another run learns from them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssah_tf.data import ImageSet, Split
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.text import plain_console, printable
from ssah_tf.training.build import build_images
from ssah_tf.training.hash_layer.features import features_of, training_positions
from ssah_tf.training.hash_layer.label_propagation import propagate_labels
from ssah_tf.training.run import Run

HEADER = ["path", "label"]
#: Keys of `data` that a run shares with the one that it learns from: they make the split, and say
#: whether pixels are kept.
SHARED = (
    "source",
    "labels",
    "exclude",
    "protocol",
    "labelled_per_class",
    "labelled_share",
    "validation_per_class",
    "query_per_class",
    "keep_sample",
)
#: Probability above which an unlabelled image gets a class, unless it is given.
LABEL_PROPAGATION = 0.5


def self_training_overrides(folder: Path) -> list[str]:
    """Overrides by which a recipe learns from a run: its images, its split, its pseudo-labels.

    Args:
        folder: The run folder.

    Raises:
        RunError: Not a run folder.
    """
    recipe = Run.open(folder).recipe
    data = {f"data.{key}": getattr(recipe.data, key) for key in SHARED}
    values = data | {
        "seed": recipe.seed,
        "pseudo_labels.self_train": str(folder.resolve()),
        "pseudo_labels.label_propagation": LABEL_PROPAGATION,
    }
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def check_teacher(teacher: Run, split: Split) -> None:
    """Refuse a run that cannot give labels to the images of a split.

    Raises:
        RunError: It has no encoder, or it has seen other images: among its training images there
            may be queries or validation images of this split.
    """
    teacher.encoder()
    theirs = teacher.whole_split
    other = sorted(set(theirs.ids) ^ set(split.ids))
    if theirs.contents is not None and split.contents is not None:
        other += [n for n in split.ids if theirs.contents.of_image(n) != split.contents.of_image(n)]
    if other or replace(theirs, protocol=split.protocol, contents=split.contents) != split:
        example = f" (for example {other[0]!r})" if other else ""
        raise RunError(
            f"{teacher.folder}: its split is another one{example}: self-training takes images, "
            "labels, protocol and seed of the run that gives the labels, and the images as they "
            "were then"
        )


def write_pseudo_labels(run: Run, teacher_folder: Path, images: ImageSet) -> None:
    """Write the labels that a run learns from, `pseudo_labels.csv`, unless they are there.

    The encoder of the teacher looks at the unlabelled images, or at some where there are very many,
    and labels are propagated to those whose class is probable enough, from all labelled images. How
    probable a class is, is found by the validation images, whose labels its backbone has not seen.
    (Pseudo-labels: Lee, ICML workshop 2013; a new network trained with them: Xie et al.,
    "Self-training with Noisy Student", CVPR 2020, arXiv 1911.04252.)

    Args:
        run: The run that learns.
        teacher_folder: The finished run folder that `pseudo_labels.self_train` names.
        images: The images of both.
    """
    if run.pseudo_labels_path.is_file():
        return
    spec, split = run.recipe.pseudo_labels, run.split
    teacher = Run.open(teacher_folder)
    encoder = teacher.encoder()
    # As files, or anew: at the size that the teacher has learnt.
    images = images.unheld() or build_images(teacher.recipe).images
    known = images.positions(split.labelled + split.validation)
    # The backbone of the teacher has learnt the labels of the labelled images.
    unseen = np.arange(len(split.labelled), len(known))
    positions = training_positions(split, images, run.recipe.train.most_unlabelled)
    features = features_of(encoder, images, positions, teacher.recipe.data.image_size)
    rows, given = propagate_labels(features, images.labels[known], spec.label_propagation, unseen)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for row, label in np.argwhere(given):  # an image with several classes has a line for each
        writer.writerow([images.ids[positions[rows[row]]], images.classes[label]])
    write_atomically(run.pseudo_labels_path, text.getvalue().encode())
    plain_console().print(
        f"self-training: {len(rows):,} labels from {printable(str(teacher.folder))}: "
        f"{printable(str(run.pseudo_labels_path))}",
        soft_wrap=True,
    )


def with_pseudo_labels(run: Run, images: ImageSet) -> tuple[Split, ImageSet]:
    """Split and images of a run as its training is to see them.

    Args:
        run: A run with `pseudo_labels.csv`.
        images: Its images.

    Returns:
        The split, in which images of that file are labelled ones; and the images with the labels of
        that file. All other images and labels are as they were.

    Raises:
        RunError: The file is damaged, or names a class or an unlabelled image that is not there.
    """
    path, split = run.pseudo_labels_path, run.split
    number = {name: i for i, name in enumerate(images.classes)}
    unlabelled = set(run.whole_split.unlabelled)
    try:
        text = path.read_bytes().decode()
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        given = [(name, number[label]) for name, label in lines]
    except (OSError, ValueError, KeyError, csv.Error):
        header, given = None, []
    if header != HEADER or not {name for name, _ in given} <= unlabelled:
        raise RunError(f"{path}: not unlabelled images with classes; without it, it is made anew")
    there = set(split.unlabelled)
    given = [(name, label) for name, label in given if name in there]
    named = dict.fromkeys(name for name, _ in given)  # as a set, in order
    labels = images.labels.copy()
    labels[images.positions(tuple(named))] = 0
    labels[images.positions(tuple(name for name, _ in given)), [label for _, label in given]] = 1
    rest = tuple(name for name in split.unlabelled if name not in named)
    split = replace(split, labelled=split.labelled + tuple(named), unlabelled=rest)
    return split, replace(images, labels=labels)
