"""Folders that are an official split (`train`, `val`, `test`), told from those of classes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

#: A folder of one of these names holds images without a label instead of a class.
UNLABELLED = frozenset({"unlabelled", "unlabeled"})

#: Parts of a split: what is trained on and searched, and the queries.
TRAIN, QUERY = "train", "query"

#: What folders of a split are called, in lower case: `train`, `valid`, `test_set`, `testing`, ...
NAMES = re.compile(
    r"(?:(?P<train>train|training)|(?P<val>val|valid|validation|validate|dev)"
    r"|(?P<test>test|testing|tests))(?:[ _-]?(?:set|data|images))?"
)


def split_folders(ids: Iterable[str]) -> dict[str, str]:
    """The parts of an official split, if the top folders are one.

    They are, if all of them have names of `NAMES` (beside `unlabelled`), and those for training
    and for queries have class folders in common. Queries are the images of `test`; without it,
    or if it has no classes, those of `val`, which otherwise joins the training part.

    Args:
        ids: Paths of the images, relative to the folder that may hold a split.

    Returns:
        Top folder -> `TRAIN`, `QUERY`, or "" if it has no classes of the others; empty if the top
        folders are no split.
    """
    below = class_folders_below(ids)
    role = {top: role_of(top) for top in below}
    if "" in role.values():
        return {}
    of = {kind: [top for top in below if role[top] == kind] for kind in ("train", "val", "test")}
    classes = set[str]().union(*(below[top] for top in of["train"]))
    for queries in (of["test"], of["val"]):
        if any(below[top] & classes for top in queries):
            part = {top: QUERY if top in queries else TRAIN for top in below}
            return {top: part[top] if below[top] & classes else "" for top in below}
    return {}


def looks_like_split(ids: Iterable[str]) -> list[str]:
    """Top folders with the names of a split that are none, for want of common class folders."""
    ids = list(ids)
    tops = list(class_folders_below(ids))
    return tops if len(tops) > 1 and all(map(role_of, tops)) and not split_folders(ids) else []


def class_folders_below(ids: Iterable[str]) -> dict[str, set[str]]:
    """Top folder -> its class folders; `unlabelled` is neither."""
    below: dict[str, set[str]] = defaultdict(set)
    for name in ids:
        top, *rest = name.split("/", 2)
        if rest and top.lower() not in UNLABELLED:
            known = below[top]
            if len(rest) > 1 and rest[0].lower() not in UNLABELLED:
                known.add(rest[0])
    return below


def role_of(folder: str) -> str:
    """Which part of a split a folder's name says: "train", "val" or "test"; "" for none."""
    found = NAMES.fullmatch(folder.lower())
    return found.lastgroup or "" if found else ""


def class_folder(name: str, parts: Mapping[str, str]) -> str:
    """The class folder that an image lies in, or `unlabelled`; "" for none.

    Args:
        name: Path of the image, as in `split_folders`.
        parts: See `split_folders`.
    """
    folders = name.split("/")[:-1]
    if folders and folders[0] in parts:
        folders = folders[1:] if parts[folders[0]] else []
    return folders[0] if folders else ""
