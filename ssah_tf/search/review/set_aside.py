"""Setting photos aside in a folder, and bringing them back; nothing is deleted or overwritten."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from ssah_tf.data.formats import ending_of, stem_of
from ssah_tf.data.side_files import ENDINGS, side_files
from ssah_tf.search.photo_table import Photo
from ssah_tf.search.review.journal import Moved, MoveJournal, Step
from ssah_tf.search.review.kept import now
from ssah_tf.search.review.labels import LabelChange, LabelPlace, handed_on
from ssah_tf.system.errors import DataError, RunError, SsahError
from ssah_tf.system.files import make_folder
from ssah_tf.system.move_file import as_found, changed, is_free, move, opened, part_of, settle
from ssah_tf.system.text import printable


@dataclass(frozen=True)
class Standing:
    """A photo that stays, as it was looked at: a real file with the content that was compared."""

    path: Path
    found: os.stat_result

    @classmethod
    def of(cls, photo: Photo) -> Self:
        """Look at a photo.

        Raises:
            Changed: It is gone, is a link, or has another content.
            OSError: It cannot be read.
        """
        path = Path(photo.path)
        with opened(path) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != photo.digest:
                raise changed(path)
            return cls(path, os.fstat(stream.fileno()))

    def check(self) -> None:
        """Look again whether it stays.

        Raises:
            Changed: It is not as it was.
        """
        if not as_found(self.path, self.found):
            raise changed(self.path)


class SetAside:
    """A folder of photos that were set aside.

    What was interrupted by a kill is undone when it is opened. One process at a time uses it; its
    owner holds a lock.

    Args:
        folder: The folder; made if need be.
        labels: Where labels are kept; `None` leaves them as they are.

    Attributes:
        journal: Its steps.

    Raises:
        RunError: The folder cannot be made, its journal not read, or what was interrupted not be
            undone now.
    """

    def __init__(self, folder: Path, labels: LabelPlace | None):
        make_folder(folder)
        self.folder = Path(os.path.realpath(folder))
        self.labels = labels
        self.journal = MoveJournal(self.folder)
        for step in reversed(self.journal.in_state("begun", "undoing")):
            self.bring_back(step, interrupted=True)

    @property
    def steps(self) -> list[Step]:
        """The steps that can be undone, the newest last; also those that could not be yet."""
        return self.journal.in_state("begun", "done", "undoing")

    def moved_from(self) -> set[str]:
        """Where all files that are here were."""
        return {before for step in self.steps for photo in step.photos for before, _ in photo.files}

    def set_aside(self, kept: Sequence[Photo], moved: Sequence[Photo], base: str) -> Step:
        """Move photos of a group here, with their side files; the others get their labels.

        All files are looked at again: those that stay before each move, and each that is moved; and
        so are the labels.

        Args:
            kept: Photos of the group that stay; links among them do not count.
            moved: Those that go.
            base: Folder from which on their paths are kept here.

        Raises:
            DataError: No real file would stay, a photo that goes is a link, or is one file with one
                that stays; or labels have changed meanwhile.
            Changed: A file is not what it was.
            RunError: A file cannot be moved, or a label not be written. In each case everything is
                where it was.
        """
        standing = self.standing(kept, moved)
        with self.labels_held():
            changes = self.handed_on(kept, moved)
        plan = self.plan(moved, base)
        step = self.journal.begin(now(), plan, changes)
        try:
            for photo in step.photos:
                for number, (before, here) in enumerate(photo.files):
                    for one in standing:
                        one.check()
                    move(Path(before), self.place(here), None if number else photo.digest)
            for one in standing:  # what stays may have been what went, on a disk mounted twice
                one.check()
            with self.labels_held():
                if self.handed_on(kept, moved) != changes:
                    raise DataError("labels of these photos have just changed: do it once more")
                self.change_labels(changes)
                self.journal.mark(step, "done")
        except BaseException as error:
            with suppress(SsahError, OSError):  # else it is undone at the next opening
                self.bring_back(step, interrupted=True)
            if isinstance(error, OSError):
                raise cannot(error, before) from None
            raise
        return step

    def labels_held(self) -> AbstractContextManager[None]:
        """See `LabelPlace.held`."""
        return self.labels.held() if self.labels else nullcontext()

    def handed_on(self, kept: Sequence[Photo], moved: Sequence[Photo]) -> list[LabelChange]:
        """What photos that stay get of the labels of the others, as far as labels are known."""
        return handed_on(kept, moved, self.labels.of) if self.labels else []

    def change_labels(self, changes: Sequence[LabelChange]) -> None:
        """See `LabelPlace.change`."""
        if self.labels and changes:
            self.labels.change(changes)

    def standing(self, kept: Sequence[Photo], moved: Sequence[Photo]) -> list[Standing]:
        """The real files that stay.

        Raises:
            DataError, Changed, RunError: See `set_aside`.
        """
        for photo in moved:
            if os.path.islink(photo.path):
                raise DataError(f"{photo.path} is a link, no file of its own: it stays")
            if ending_of(photo.path) not in ENDINGS:
                raise DataError(f"{photo.path} has not the ending of a photo: it stays")
        real = [photo for photo in kept if not os.path.islink(photo.path)]
        if not real:
            raise DataError("keep at least one real file of the group: a link is no copy")
        try:
            standing = [Standing.of(photo) for photo in real]
            for photo in moved:
                for one in standing:
                    if os.path.samefile(photo.path, one.path):
                        raise DataError(f"{photo.path} and {one.path} are one file: keep both")
        except FileNotFoundError as error:
            raise changed(Path(error.filename)) from None
        except OSError as error:
            raise cannot(error, real[0].path) from None
        return standing

    def plan(self, moved: Sequence[Photo], base: str) -> list[Moved]:
        """Where each file goes: a photo and its side files get names alike.

        Raises:
            Changed: The folder of a photo is gone.
            RunError: It cannot be listed.
        """
        going = [photo.path for photo in moved]
        taken: set[str] = set()
        plan = []
        for photo in moved:
            try:
                found = side_files(photo.path, going)
            except FileNotFoundError:
                raise changed(Path(photo.path)) from None
            except OSError as error:
                raise cannot(error, photo.path) from None
            files = [photo.path, *(path for path in found if path not in taken)]
            folder = os.path.relpath(os.path.dirname(photo.path), base)
            if folder.startswith(os.pardir):
                folder = "."
            for names in numbered(files):
                here = [os.path.normpath(os.path.join(folder, name)) for name in names]
                if not any(os.path.lexists(self.folder / h) or h in taken for h in here):
                    break
            taken.update(files, here)
            plan.append(Moved(photo.digest, tuple(zip(files, here, strict=True))))
        return plan

    def undo(self, step: Step) -> list[str]:
        """Bring the photos of a step back to where they were.

        A name that is taken meanwhile gets another. What is no more in the folder is left out.

        Returns:
            A line for each file that is not back where it was.

        Raises:
            RunError: A file or a label cannot be brought back now; those before it are.
        """
        interrupted = step.state != "done"
        if not interrupted:
            self.journal.mark(step, "undoing")
        return self.bring_back(step, interrupted)

    def restore(self, progress: Callable[[int, int], None]) -> tuple[int, list[str]]:
        """Bring everything back, the newest step first.

        Args:
            progress: Called with how many steps are undone, and how many there are.

        Returns:
            How many photos are back; and see `undo`.

        Raises:
            RunError: See `undo`.
        """
        steps, photos, said = self.steps[::-1], 0, list[str]()
        for done, step in enumerate(steps):
            progress(done, len(steps))
            there = sum((self.folder / photo.files[0][1]).exists() for photo in step.photos)
            said += self.undo(step)
            photos += there
        progress(len(steps), len(steps))
        return photos, said

    def bring_back(self, step: Step, interrupted: bool) -> list[str]:
        """Undo a step, whatever of it was done; see `undo`.

        Args:
            step: The step.
            interrupted: Whether it was being done or undone when its process ended.
        """
        said = []
        for photo in reversed(step.photos):
            for before, here in photo.files if interrupted else ():
                for path in (Path(before), self.place(here)):
                    part_of(path).unlink(missing_ok=True)
            there = [(a, b) for a, b in photo.files if os.path.lexists(self.place(b))]
            try:
                said += self.bring_photo_back(there, interrupted)
            except OSError as error:
                raise cannot(error, there[0][0]) from None
            if not interrupted and len(there) < len(photo.files):
                said += [
                    f"{self.folder / here} is gone, so that {before} is not back"
                    for before, here in photo.files
                    if (before, here) not in there and not os.path.lexists(before)
                ]
        self.change_labels([change.back() for change in step.labels])
        self.journal.mark(step, "undone")
        return said

    def bring_photo_back(self, files: Sequence[tuple[str, str]], interrupted: bool) -> list[str]:
        """Bring back the files of a photo that are here; see `undo`."""
        said = []
        for names in numbered([before for before, _ in files]):
            free = [
                is_free(Path(before).with_name(name), self.place(here), interrupted)
                for name, (before, here) in zip(names, files, strict=True)
            ]
            if all(free):
                break
        for name, (before, here) in reversed(list(zip(names, files, strict=True))):
            target = Path(before).with_name(name)
            settle(self.place(here), target, interrupted)
            if str(target) != before:
                said.append(f"{before} is taken: what was there is {target} now")
        for _, here in files:
            for folder in list(Path(here).parents)[:-1]:
                with suppress(OSError):
                    self.place(folder).rmdir()  # of those that are empty
        return said

    def place(self, here: str | Path) -> Path:
        """Where a file lies that was set aside.

        Raises:
            RunError: A link leads out of the folder.
        """
        path = self.folder / here
        if os.path.realpath(path.parent) != str(path.parent):
            raise RunError(f"{path.parent}: a link leads out of the folder")
        return path


def numbered(paths: Sequence[str]) -> Iterator[list[str]]:
    """Names for files that belong together: their own, then with (2), (3), ... in each.

    The first is a photo; the names of the others begin with its name without the ending.
    """
    if not paths:
        yield []
        return
    names = [os.path.basename(path) for path in paths]
    stem = stem_of(names[0])
    yield names
    for number in count(2):
        yield [
            f"{stem} ({number}){name[len(stem) :]}" if name.startswith(stem) else f"{number} {name}"
            for name in names
        ]


def cannot(error: OSError, path: str) -> RunError:
    """The error of a file that cannot be moved."""
    reason = error.strerror or type(error).__name__
    return RunError(f"{printable(str(path))}: cannot be moved ({reason})")
