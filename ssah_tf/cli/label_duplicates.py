"""The page of duplicates that `ssah label --index` has beside the page of labels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ssah_tf.cli.duplicates import check_outside, find, holding, make_review
from ssah_tf.system.errors import SsahError

if TYPE_CHECKING:
    from ssah_tf.data.label_table import LabelTable
    from ssah_tf.serve.labelling import Labelling
    from ssah_tf.serve.later import Later, Tell
    from ssah_tf.serve.review import Review


def roots_of(index: str | None, photos: Path, set_aside: Path | None) -> tuple[str, ...]:
    """What an index is of, if it may be reviewed beside the labels of a folder.

    Raises:
        SsahError: It is no index, or none of this folder; or photos cannot be set aside there.
    """
    if index is None:
        return ()
    from ssah_tf.search.backends.schemes import shown
    from ssah_tf.search.photo_index import PhotoIndex

    homes = [os.path.join(home(photos), "") for home in (os.path.abspath, os.path.realpath)]
    with PhotoIndex.open(index) as opened:
        roots = opened.roots
        if not any(path.startswith(tuple(homes)) for path in opened.photos.paths()):
            raise SsahError(
                f"--index {shown(index)}: none of its photos lies in {photos}; name an index of "
                "this folder, made by `ssah index`"
            )
    if set_aside is not None:
        check_outside(set_aside, (*roots, str(photos)))
    return roots


@contextmanager
def duplicates_beside(
    index: str | None,
    roots: tuple[str, ...],
    set_aside: Path | None,
    work: Path,
    table: "LabelTable",
    labelling: "Labelling",
) -> Iterator["Later[Review] | None"]:
    """The review of an index, compared when it is first asked for; `None` without an index.

    Labels of what is set aside go to what is kept, in the table.

    Args:
        index: The index, a folder or an address.
        roots: See `roots_of`.
        set_aside: Folder to which photos may be moved, if any.
        work: Working folder, for what is kept whole.
        table: The labels.
        labelling: The page of labels, which is told what is set aside.

    Raises:
        SsahError: A folder is in use by another process, or cannot be read.
    """
    if index is None:
        yield None
        return
    from ssah_tf.search.duplicates import MIN_SSIM
    from ssah_tf.search.review.kept import KeptGroups
    from ssah_tf.search.review.labels import TableLabels
    from ssah_tf.search.review.proposal import Rules
    from ssah_tf.search.review.set_aside import SetAside
    from ssah_tf.serve.later import Later
    from ssah_tf.system.lock import only_one

    photos = labelling.photos
    place = TableLabels(table, [os.path.abspath(photos.root), photos.roots[0]])
    with only_one(work / ".duplicates.lock", work, option="--work"), holding(set_aside):
        kept = KeptGroups(work)
        aside = None if set_aside is None else SetAside(set_aside, place)
        if aside is not None:
            photos.roots.append(str(aside.folder))

        def compare(tell: "Tell") -> "Review":
            found = find(index, None, MIN_SSIM, tell)
            told = labelling.take_aside
            return make_review(found, roots, place, kept, aside, Rules(), told)

        review = Later(compare, "photos are being compared")
        try:
            yield review
        finally:
            review.close()
