"""A file that only grows: a line of JSON for each entry, which is there whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from ssah_tf.system.errors import RunError
from ssah_tf.system.move_file import sync_folder
from ssah_tf.system.reading import parse_json


class LineFile:
    """Entries on disk, in the order in which they were made.

    An entry is on disk when `append` returns. A last line that is not whole, since the process was
    killed, is of an entry that nobody was told of, and is dropped.

    Args:
        path: The file, in a folder that is there; made if need be.
        advice: What to do if it is damaged, for the message.

    Attributes:
        entries: What the file holds.

    Raises:
        RunError: It cannot be opened, or a line is no entry.
    """

    def __init__(self, path: Path, advice: str):
        self.path = path
        self.advice = advice
        self.entries: list[dict[str, Any]] = []
        try:
            with open(path, "a+b") as stream:
                stream.seek(0)
                content = stream.read()
                self.end = content.rfind(b"\n") + 1
                if self.end < len(content):
                    stream.truncate(self.end)
            if not content:
                sync_folder(path.parent)
        except OSError as error:
            raise RunError(f"{path}: cannot be opened ({error.strerror})") from None
        for number, line in enumerate(content[: self.end].splitlines(), start=1):
            try:
                entry = parse_json(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise self.damaged(number)
            self.entries.append(entry)

    def damaged(self, number: int) -> RunError:
        """The error of a line, counted from 1, that is no entry."""
        return RunError(f"{self.path}, line {number}: damaged; {self.advice}")

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry.

        Raises:
            RunError: It cannot be written; the file is as it was.
        """
        line = json.dumps(entry).encode() + b"\n"
        try:
            with open(self.path, "ab") as stream:
                try:
                    stream.write(line)
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    stream.truncate(self.end)
                    raise
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror})") from None
        self.end += len(line)
        self.entries.append(entry)
