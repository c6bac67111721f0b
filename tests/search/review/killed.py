"""Sets photos aside, or restores them, in forks that kill themselves at each change of a file.

Words: an empty folder; `aside` or `restore`; `links` or `copies` (as across file systems); maybe
`twice`. Each fork is killed at one of its changes; `twice` then also at each one of the mending.
Prints how many kills there were, and how many were mended. The product knows nothing of this:
Python's audit hooks see it.
"""

import errno
import hashlib
import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

from ssah_tf.search.photo_table import Photo
from ssah_tf.search.review.set_aside import SetAside

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
ROOT, WHAT, HOW, TWICE = Path(sys.argv[1]), *sys.argv[2:4], "twice" in sys.argv
WORLD = ROOT / "world"
PHOTOS, ASIDE = WORLD / "photos", WORLD / "aside"
FILES = ("a.jpg", "may/b.jpg", "may/b.xmp", "may/b.mov", "may/c.jpg")


def photo(name):
    return Photo(str(PHOTOS / name), hashlib.sha256(name.encode()).hexdigest(), len(name), 0)


def step():
    aside = SetAside(ASIDE, None)
    if WHAT == "aside":
        aside.set_aside([photo("a.jpg")], [photo("may/b.jpg"), photo("may/c.jpg")], str(PHOTOS))
    else:
        aside.restore(lambda done, total: None)


def mend():
    SetAside(ASIDE, None)


def die_at(number):
    left = iter(range(number, -1, -1))

    def event():
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name, values):
        writes = (
            name == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes or name in CHANGES:
            event()

    os.fsync = lambda descriptor: event()
    sys.addaudithook(hook)


def killed(work, number):
    """Do work in a fork that is killed at a change; whether it came so far."""
    pid = os.fork()
    if pid == 0:
        die_at(number)
        work()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "set_aside.jsonl"
    }


def begin():
    shutil.rmtree(WORLD, ignore_errors=True)
    for name in FILES:
        path = PHOTOS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    if WHAT == "restore":
        aside = SetAside(ASIDE, None)
        aside.set_aside([photo("a.jpg")], [photo("may/b.jpg"), photo("may/c.jpg")], str(PHOTOS))


def nothing_lost():
    everywhere = {**contents(WORLD)}.values()
    assert {name.encode() for name in FILES} <= set(everywhere)


def check():
    """After the mending all is in one of two states, whole."""
    nothing_lost()
    mend()
    here, there = contents(PHOTOS), contents(ASIDE)
    all_back = here == {name: name.encode() for name in FILES} and there == {}
    all_gone = here == {"a.jpg": b"a.jpg"} and there == {n: n.encode() for n in FILES[1:]}
    assert all_back or all_gone, (here, there)
    if all_gone:
        SetAside(ASIDE, None).restore(lambda done, total: None)
        assert contents(PHOTOS) == {name: name.encode() for name in FILES}


right_link = os.link


def link(source, target):
    if HOW == "copies" and Path(source).is_relative_to(ASIDE) != Path(target).is_relative_to(ASIDE):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    right_link(source, target)


os.link = link
os.fsync = lambda descriptor: None  # a kill loses nothing that was written
kills = mended = 0
for first in count():
    begin()
    if not killed(step, first):
        break
    kills += 1
    nothing_lost()
    check()
    mended += 1
    for second in count() if TWICE else ():
        begin()
        killed(step, first)
        if not killed(mend, second):
            break
        nothing_lost()
        check()
        mended += 1
print(kills, mended)
