"""Imports TensorFlow once, then runs `ssah` in forks of itself, each killed where it is told to.

Reads an order a line from stdin, JSON: `words` of the command line, `folder` to watch, `die_at`,
`output`. Writes `{"pid": ...}` when the fork has begun and `{"status": ..., "events": [...]}` when
it has ended; what the fork printed goes to the file `output`.

An event is a call that changes a file below `folder`: opening to write, syncing, renaming,
removing. `die_at` is a number or a regular expression: the fork kills itself with SIGKILL when
that event is about to happen. The product knows nothing of this: Python's audit hooks see it.

`halt` is a function, how many calls of it are let through, and how many seconds the next ones take:
the fork prints "halted" when it has come there. `deaf` blocks the signals of the thread meanwhile.
"""

import importlib
import itertools
import json
import os
import re
import signal
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

CHANGES = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir"}


class Watch:
    """Counts the events below a folder and dies at one of them."""

    def __init__(self, folder: str, die_at: int | str | None, log: int):
        self.folder, self.die_at, self.log, self.count = folder, die_at, log, 0
        right = os.fsync

        def fsync(descriptor):
            self.event("sync", os.readlink(f"/proc/self/fd/{descriptor}"))
            right(descriptor)

        os.fsync = fsync
        sys.addaudithook(self.hook)

    def hook(self, name, values):
        if name in CHANGES:
            self.event(CHANGES[name], values[name == "os.rename"])
        elif (
            name == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            self.event("open", values[0])

    def event(self, kind, path):
        if not isinstance(path, str | bytes | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(path))
        if not path.startswith(self.folder):
            return
        event = f"{kind} {os.path.relpath(path, self.folder)}"
        place = self.die_at
        if re.fullmatch(place, event) if isinstance(place, str) else place == self.count:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        os.write(self.log, f"{event}\n".encode())


def halt(place: str, calls: int, seconds: float, deaf: bool) -> None:
    """Make a function, `module:name` or `module:class.name`, wait from some call on."""
    module, names = place.split(":")
    *owners, name = names.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    right, count = getattr(owner, name), itertools.count()

    def halted(*values, **named):
        if next(count) >= calls:
            if deaf:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
            os.write(1, b"halted\n")
            time.sleep(seconds)
        return right(*values, **named)

    setattr(owner, name, halted)


def run(order: dict, log: int) -> None:
    """Run `ssah` in a fork; never comes back."""
    out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        sys.argv = ["ssah", *order["words"]]
        if order["halt"]:
            halt(**order["halt"])
        Watch(os.path.abspath(order["folder"]), order["die_at"], log)
        cli.main()
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def serve() -> None:
    """Run one order after the other."""
    for line in sys.stdin:
        order = json.loads(line)
        log = os.memfd_create("events")
        pid = os.fork()
        if pid == 0:
            run(order, log)
        print(json.dumps({"pid": pid}), flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.lseek(log, 0, os.SEEK_SET)
        with os.fdopen(log) as stream:
            print(json.dumps({"status": status, "events": stream.read().split("\n")[:-1]}))
        sys.stdout.flush()


if __name__ == "__main__":
    from ssah_tf.cli import app as cli
    from ssah_tf.cli.extras import import_tensorflow

    import_tensorflow()
    from ssah_tf.export import export  # noqa: F401
    from ssah_tf.training import measure, tables, train  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a fork may get it, never the server
    print("ready", flush=True)
    serve()
