"""Review of duplicates: groups, what is proposed to keep, and what a person decides."""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ssah_tf.data.side_files import side_files
from ssah_tf.search.duplicates import Member
from ssah_tf.search.photo_table import Photo
from ssah_tf.search.review.journal import Step
from ssah_tf.search.review.kept import Contents, KeptGroups, contents
from ssah_tf.search.review.labels import LabelPlace
from ssah_tf.search.review.proposal import Facts, Rule, Rules, propose
from ssah_tf.search.review.set_aside import SetAside
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import as_unicode

#: Folders to prefer that a page offers.
FOLDERS = 200


class Review:
    """Groups of near duplicates, one shown after the other.

    All that changes something takes turns, so that pages beside each other lose nothing; what a
    method has changed is on disk when it returns.

    Args:
        groups: See `duplicates.find_duplicates`.
        roots: Files and folders that were indexed, absolute.
        labels: Where labels are.
        kept: The groups that are kept as they are.
        aside: Where photos are set aside; `None` if that is off.
        rules: How to choose what to keep.
        lost: What is not as it was indexed, and in no group, as a line; "" if all is.
        told: Is called with `places` when they have changed.

    Attributes:
        photos: The members of all groups; their places are the numbers that pages know them by.
        places: Where a photo was -> where it is, of those of the groups that are set aside.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Member]],
        roots: Sequence[str],
        labels: LabelPlace,
        kept: KeptGroups,
        aside: SetAside | None,
        rules: Rules,
        lost: str = "",
        told: Callable[[Mapping[str, str]], None] = lambda places: None,
    ):
        self.groups = groups
        self.lost = lost
        self.told = told
        self.labels = labels
        self.kept = kept
        self.aside = aside
        self.rules = rules
        folders = [root if os.path.isdir(root) else os.path.dirname(root) for root in roots]
        self.base = os.path.commonpath(folders) if folders else os.sep
        self.roots = [os.path.realpath(root) for root in roots]
        if aside is not None:
            self.roots.append(str(aside.folder))
        self.photos = [member for group in groups for member in group]
        self.starts = [0]
        for group in groups:
            self.starts.append(self.starts[-1] + len(group))
        self.contents: list[Contents] = [
            contents(m.photo.digest for m in group) for group in groups
        ]
        self.lock = threading.RLock()
        self.touched: set[int] = set()
        self.steps: dict[int, int] = {}
        self.places: dict[str, str] = {}
        self.known: dict[str, Facts] = {}

    def __len__(self) -> int:
        return len(self.groups)

    def status(self, number: int) -> str:
        """What was decided of a group: "aside", "kept", or "" if nothing was."""
        if number in self.steps.values():
            return "aside"
        return "kept" if self.contents[number] in self.kept else ""

    def set_aside(self, number: int, keep: Collection[int]) -> list[str]:
        """Keep some photos of a group and set the others aside, but for links.

        Args:
            number: The group.
            keep: Numbers of the photos that stay.

        Raises:
            DataError: Setting aside is off, the group is done, or see `SetAside.set_aside`.
            Changed, RunError: See `SetAside.set_aside`.
        """
        with self.lock:
            members = self.open_group(number)
            if self.aside is None:
                raise DataError("nothing can be set aside: start with --set-aside FOLDER")
            here = range(self.starts[number], self.starts[number + 1])
            if not set(keep) <= set(here):
                raise DataError("no such photo in this group")
            kept = [m.photo for place, m in zip(here, members, strict=True) if place in keep]
            moved = [
                m.photo
                for place, m in zip(here, members, strict=True)
                if place not in keep and not os.path.islink(m.photo.path)
            ]
            if not moved:
                raise DataError("all photos of this group are kept: say so with Keep all")
            step = self.aside.set_aside(kept, moved, self.base)
            self.steps[step.number] = number
            self.touched.add(number)
            for photo in step.photos:
                before, now = photo.files[0]
                self.places[before] = str(self.aside.folder / now)
            self.told(self.places)
            return []

    def keep_all(self, number: int) -> list[str]:
        """Keep a group as it is: it does not come back.

        Raises:
            DataError: There is no such group, or it is done.
            RunError: It cannot be written.
        """
        with self.lock:
            self.open_group(number)
            self.kept.keep(self.contents[number])
            self.touched.add(number)
            return []

    def last(self) -> Contents | Step | None:
        """The last step: the contents of a group that was kept, or what was moved."""
        kept = self.kept.steps[-1] if self.kept.steps else None
        step = self.aside.steps[-1] if self.aside and self.aside.steps else None
        if step and (kept is None or kept[0] < step.at):
            return step
        return kept and kept[1]

    def last_group(self) -> int | None:
        """The group of the last step, if it is one of these."""
        with self.lock:
            last = self.last()
            if isinstance(last, Step):
                return self.steps.get(last.number)
            return self.contents.index(last) if last in self.contents else None

    def undo(self) -> list[str]:
        """Take the last step back, of whatever kind and however long ago.

        Returns:
            What there is to say of files that are not where they were.

        Raises:
            DataError: There is no step.
            RunError: It cannot be undone now.
        """
        with self.lock:
            last = self.last()
            if last is None:
                raise DataError("there is nothing to undo")
            if not isinstance(last, Step):
                self.kept.keep(last, undo=True)
                return []
            assert self.aside is not None
            said = self.aside.undo(last)
            self.steps.pop(last.number, None)
            for photo in last.photos:
                self.places.pop(photo.files[0][0], None)
            self.told(self.places)
            return said

    def choose(self, first: Rule, prefer: str) -> list[str]:
        """Propose by other rules.

        Args:
            first: What counts most.
            prefer: A folder as it is shown; "" for none.

        Raises:
            DataError: There is no such folder.
        """
        with self.lock:
            if prefer and prefer not in self.folders:
                raise DataError("no photo of these groups lies in that folder")
            self.rules = Rules(self.folders[prefer] if prefer else "", first)
            return []

    def open_group(self, number: int) -> Sequence[Member]:
        """A group of which nothing was decided.

        Raises:
            DataError: There is none of that number.
        """
        if not 0 <= number < len(self):
            raise DataError("no such group")
        if self.status(number):
            raise DataError("this group is done already: undo that first")
        return self.groups[number]

    @cached_property
    def folders(self) -> dict[str, str]:
        """The folders in which photos of the groups lie, as shown -> absolute."""
        found = {os.path.dirname(member.photo.path) for member in self.photos}
        for folder in list(found):
            found |= {str(above) for above in Path(folder).parents}
        inside = os.path.join(self.base, "")
        return {self.name(folder): folder for folder in sorted(found) if folder.startswith(inside)}

    def name(self, path: str) -> str:
        """A path as it is shown: relative, and text whatever its bytes."""
        return as_unicode(path.removeprefix(os.path.join(self.base, "")))

    def state(self, number: int | None, said: Sequence[str] = ()) -> dict[str, Any]:
        """What a page shows, as `ReviewState` of `review_schemas` has it.

        Args:
            number: The group to show; the first open one if there is none of that number.
            said: What there is to say of the last step.
        """
        with self.lock:
            status = [self.status(n) for n in range(len(self))]
            shown = [n for n, done in enumerate(status) if not done or n in self.touched]
            open_ones = [n for n in shown if not status[n]]
            if number not in shown:
                number = next(iter((*open_ones, *shown)), None)
            place = shown.index(number) if number is not None else 0
            later = [n for n in open_ones if number is not None and n > number]
            return {
                "groups": len(shown),
                "open": len(open_ones),
                "remembered": len(self) - len(shown),
                "set_aside": sum(len(s.photos) for s in self.aside.steps) if self.aside else 0,
                "folder": as_unicode(str(self.aside.folder)) if self.aside else "",
                "steps": len(self.kept.steps) + (len(self.aside.steps) if self.aside else 0),
                "first": self.rules.first,
                "prefer": self.name(self.rules.prefer) if self.rules.prefer else "",
                "folders": list(self.folders)[:FOLDERS],
                "place": place,
                "previous": shown[place - 1] if place else None,
                "next": shown[place + 1] if place + 1 < len(shown) else None,
                "next_open": next(iter((*later, *open_ones)), None),
                "group": None if number is None else self.described(number),
                "said": [as_unicode(line) for line in said],
                "lost": as_unicode(self.lost),
            }

    def described(self, number: int) -> dict[str, Any]:
        """A group as a page shows it."""
        group, status = self.groups[number], self.status(number)
        kept = set() if status else propose(group, self.rules, self.labels.of, self.facts)
        photos = []
        for place, member in enumerate(group):
            photo, position = member.photo, self.starts[number] + place
            facts = self.facts(photo)
            width, height = facts.size
            belonging: list[str] = []
            with suppress(OSError):
                belonging = side_files(photo.path, [m.photo.path for m in group])
            photos.append(
                {
                    "id": position,
                    "path": self.name(photo.path),
                    "kind": member.kind,
                    "distance": member.distance,
                    "ssim": round(member.ssim, 3),
                    "bytes": photo.size,
                    "width": width,
                    "height": height,
                    "date": facts.dated.at.isoformat(timespec="seconds"),
                    "dated_by": facts.dated.by,
                    "labels": list(self.labels.of(photo)),
                    "beside": [as_unicode(os.path.basename(path)) for path in belonging],
                    "link": os.path.islink(photo.path),
                    "keep": photo.path not in self.places if status else place in kept,
                    "image": f"duplicates/photos/{position}/image?v={photo.digest[:12]}",
                }
            )
        return {"number": number, "status": status, "photos": photos}

    def facts(self, photo: Photo) -> Facts:
        """What the file of a photo says; looked up once, since the file may move."""
        if photo.path not in self.known:
            self.known[photo.path] = Facts.of(photo)
        return self.known[photo.path]

    def path_of(self, position: int) -> str:
        """Where a photo lies now.

        Raises:
            DataError: There is none of that number.
        """
        if not 0 <= position < len(self.photos):
            raise DataError("no such photo in these groups")
        path = self.photos[position].photo.path
        return self.places.get(path, path)
