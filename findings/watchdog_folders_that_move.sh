#!/usr/bin/env bash
# watchdog 7 tells each file of a folder that is moved into a watched tree, but none of a folder that
# is moved out; and a file that is renamed over another one from elsewhere is "created".
#
# What one would expect: whoever keeps a list of the files from the events (created, deleted, moved)
# has the files that are there. A folder that moves out of the tree is the reverse of one that moves
# in, so its files are told as deleted. A file that is replaced is told as modified.
# What happens: moved in, there is an event for the folder and one for each file in it. Moved out,
# there is one event, of the folder; its files stay in the list. So they do when a folder goes to the
# trash, which is such a move. A file over which another one is renamed, from outside of the tree,
# is told as created, though its path was there: no event says modified, closed or deleted.
# Deleted file by file (rm -r), each file is told.
# Seen with: watchdog 7.1.0, Python 3.11, Linux x86-64 (inotify), folders on one file system.
#
#   bash findings/watchdog_folders_that_move.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check watchdog==7.1.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import shutil
import sys
import time
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

base = Path(sys.argv[1])
watched, elsewhere = base / "watched", base / "elsewhere"
for place in (watched, elsewhere):
    place.mkdir()
events, listed = [], set()


class Keep(FileSystemEventHandler):
    """Keeps a list of files as the events tell it."""

    def on_any_event(self, event):
        name = os.path.relpath(event.src_path, watched)
        events.append((event.event_type, name))
        if event.is_directory:
            return
        if event.event_type in ("deleted", "moved"):
            listed.discard(name)
        if event.event_type == "created":
            listed.add(name)
        if event.event_type == "moved":
            listed.add(os.path.relpath(event.dest_path, watched))


def what(told):
    """The events behind an act, without those of the watched folder itself; what is listed."""
    events.clear()
    told()
    time.sleep(3)
    return sorted({one for one in events if one[1] != "."}), sorted(listed)


def make(place):
    place.mkdir()
    for name in ("1.jpg", "2.jpg"):
        (place / name).write_bytes(b"photo")


make(elsewhere / "may")
(elsewhere / "new.jpg").write_bytes(b"another")
observer = Observer()
observer.schedule(Keep(), str(watched), recursive=True)
observer.start()
time.sleep(1)
seen = {
    "folder moved in": what(lambda: os.rename(elsewhere / "may", watched / "may")),
    "file renamed over one": what(
        lambda: os.replace(elsewhere / "new.jpg", watched / "may" / "1.jpg")
    ),
    "folder moved out": what(lambda: os.rename(watched / "may", elsewhere / "may")),
}
there = sorted(str(p.relative_to(watched)) for p in watched.rglob("*.jpg"))
seen["folder moved in again"] = what(lambda: os.rename(elsewhere / "may", watched / "may"))
seen["rm -r"] = what(lambda: shutil.rmtree(watched / "may"))
observer.stop()
observer.join()
for act, (told, known) in seen.items():
    print(f"{act:<22} {told}\n{'':<22} listed: {known}")
files = ["may/1.jpg", "may/2.jpg"]
kinds = {act: {one for one in told if one[1].endswith(".jpg")} for act, (told, _) in seen.items()}
described = (
    kinds["folder moved in"] == {("created", name) for name in files}
    and kinds["file renamed over one"] == {("created", "may/1.jpg")}
    and kinds["folder moved out"] == set()
    and seen["folder moved out"][0] == [("deleted", "may")]
    and (there, seen["folder moved out"][1]) == ([], files)
    and {("deleted", name) for name in files} <= kinds["rm -r"]
    and seen["rm -r"][1] == []
)
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
