"""Files that belong to a photo: edits, the film of a live photo, the raw file of a pair."""

import os
from collections.abc import Collection

from ssah_tf.data.formats import BESIDE_RAW, OF_ENDING, RAW_ENDINGS, ending_of, stem_of

#: Endings of edits: sidecars of most programs, and Apple's.
EDITS = (".xmp", ".aae")
#: The film of a live photo.
FILM = ".mov"
#: Endings of all that can belong to a photo, and of photos.
ENDINGS = frozenset((*EDITS, FILM, *OF_ENDING))


def side_files(path: str, going: Collection[str] = ()) -> list[str]:
    """Files beside a photo that belong to it alone, sorted.

    They are `NAME.xmp` and `NAME.aae`, where `NAME` is with or without the photo's ending; of a
    JPEG or HEIC file also the film and the raw file of the same name, with the edits of the raw
    file. A file that belongs to another picture of that name, too, is left to it.

    Args:
        path: The photo.
        going: Other photos that are left nothing.

    Raises:
        OSError: Its folder cannot be listed.
    """
    folder, name = os.path.split(path)
    stem, ending = stem_of(name), ending_of(name)
    if not stem:
        return []
    with os.scandir(folder or ".") as entries:
        beside = {
            entry.name: ending_of(entry.name)
            for entry in entries
            if entry.name.startswith(stem) and entry.is_file(follow_symlinks=False)
        }
    paired = RAW_ENDINGS if ending in BESIDE_RAW else frozenset()
    same = [other for other in beside if stem_of(other) == stem and other != name]
    left = set(same).difference(os.path.basename(p) for p in going if os.path.dirname(p) == folder)
    pictures = [other for other in left if beside[other] in OF_ENDING]
    raw = [other for other in pictures if beside[other] in paired]
    alone = len(pictures) == len(raw)
    owned = {name, *(raw if alone else ())}
    found = set(raw if alone else ())
    for other, kind in beside.items():
        whole = kind in EDITS and stem_of(other) in owned
        shared = stem_of(other) == stem and (
            kind in EDITS or (kind == FILM and ending in BESIDE_RAW)
        )
        if whole or (shared and alone):
            found.add(other)
    return [os.path.join(folder, other) for other in sorted(found)]
