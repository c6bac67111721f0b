"""The images of a run, wherever they are now."""

from dataclasses import replace

from ssah_tf.data import ImageSet
from ssah_tf.data.found import Found, find_again
from ssah_tf.system.errors import RunError
from ssah_tf.training.recipe_sections import DataSection
from ssah_tf.training.run import Run


def photos_of(
    run: Run, data: str | None = None, spec: DataSection | None = None
) -> tuple[Run, Found]:
    """Find the images of a run again.

    Args:
        run: The run.
        data: Where they are now, if not where they were; see `load_images`.
        spec: Where they were, if the run has no recipe yet.

    Returns:
        The run without the images that are missing, and what was found.

    Raises:
        DataError: See `find_again`.
    """
    spec = spec or run.recipe.data
    found = find_again(run.whole_split, data or spec.source, spec.labels, spec.exclude)
    return replace(run, missing=frozenset(found.missing)), found


def known_images(run: Run, images: ImageSet | None) -> ImageSet | None:
    """The images of a run with their labels, perhaps without pixels; `None` if no label is known.

    Args:
        run: The run.
        images: Its images that are there. They are needed only where the split, of an older
            version, keeps no labels.
    """
    contents, ids = run.whole_split.contents, run.whole_split.ids
    if contents is None or (images is not None and len(images) == len(ids)):
        return images  # all of them, with the labels of the split
    return contents.image_set(ids)


def some_images(found: Found) -> ImageSet:
    """The images that were found.

    Raises:
        RunError: None was.
    """
    if found.images is None:
        raise RunError(
            f"none of the {found.total:,} images of the run is there: if they have moved, name "
            "their folder with --data"
        )
    return found.images
