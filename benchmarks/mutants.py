"""How many small faults the tests notice: mutants of the code, drawn by a seed (no speed).

    pip install cosmic-ray==8.7.0
    python benchmarks/mutants.py --seed 1

cosmic-ray finds every place where an operator, a number, a condition and so on can be changed. Of
each part some are drawn; for each, the tests of that part run once, in a copy of the repository.
Those that the tests let through are printed, and counted but for the ones in `mutants.json`: they
change nothing that a caller can see, for the reason given there. Changes that keep a module from
being imported at all are drawn again.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
#: Survivors that change nothing, each with the reason.
HARMLESS = Path(__file__).with_suffix(".json")
#: The life cycle is that of layers, too, and most of them take longer.
OF_LOSSES = ("-k", "losses or Contrastive or CSQ or Likelihood or OrthoHash")
#: The contract of an index is that of databases, too: they have code of their own.
EMBEDDED = ("-k", "not pgvector and not plain")
#: Tests of encoding, those that take long at the end: a run ends at the first that fails.
OF_ENCODING = sorted(
    (str(path.relative_to(ROOT)) for path in ROOT.glob("tests/encoding/test_*.py")),
    key=lambda name: name.endswith(("test_encode.py", "test_records.py")),
)
#: Part -> what is changed, and the tests that should notice.
PARTS = {
    "metrics": (["ssah_tf/metrics/*.py"], ["tests/metrics"]),
    "losses": (["ssah_tf/losses/*.py"], ["tests/losses", "tests/test_life_cycle.py", *OF_LOSSES]),
    "code_index": (
        ["ssah_tf/search/code_index.py", "ssah_tf/search/groups.py"],
        ["tests/search/test_code_index.py", "tests/search/test_contract.py", *EMBEDDED],
    ),
    "split": (
        ["ssah_tf/data/split.py"],
        ["tests/data/test_split.py", "tests/data/test_protocols.py"],
    ),
    "encoding": (["ssah_tf/encoding/*.py"], [*OF_ENCODING, "tests/search/test_photo_index.py"]),
}
#: Tested on real clusters, in an environment of its own and for minutes: not changed here.
LEFT_OUT = {"ray_engine.py", "__init__.py"}
#: Imported before the tests are forked: they take longer than most tests.
HEAVY = ("numpy", "pytest", "tensorflow", "keras", "hypothesis", "PIL", "onnxruntime", "pyarrow")
#: Seconds after which a test run counts as a fault noticed: an endless loop.
PATIENCE = 240
IMPORT_FAILED = 99


class Mutant(NamedTuple):
    """A change of one line.

    Attributes:
        part: Key of `PARTS`.
        path: The file, relative to the root.
        before: Lines that go.
        after: Lines that come in their place.
        code: The whole file with the change.
    """

    part: str
    path: str
    before: str
    after: str
    code: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before} -> {self.after or '(nothing)'}"


def draw(part: str, seed: int) -> Iterator[Mutant]:
    """The mutants of a part, in an order that the seed gives."""
    import cosmic_ray.plugins
    from cosmic_ray.commands.init import _all_work_items
    from cosmic_ray.mutating import mutate_code

    files = [path for pattern in PARTS[part][0] for path in sorted(ROOT.glob(pattern))]
    items = [
        (path, item.mutations[0])
        for path in files
        if path.name not in LEFT_OUT
        for item in _all_work_items([path], {})
    ]
    random.Random(f"{seed} {part}").shuffle(items)
    for path, change in items:
        source = path.read_text(encoding="utf-8")
        operator = cosmic_ray.plugins.get_operator(change.operator_name)()
        code = mutate_code(source, operator, change.occurrence)
        if code is not None and code != source:
            before, after = difference(source.splitlines(), code.splitlines())
            yield Mutant(part, str(path.relative_to(ROOT)), before, after, code)


def difference(source: list[str], code: list[str]) -> tuple[str, str]:
    """The lines that differ, before and after; a line that is gone has nothing after it."""
    rows = [(a.strip(), b.strip()) for a, b in zip(source, code, strict=False) if a != b]
    if len(source) != len(code):
        return rows[0][0], ""
    return " ".join(a for a, _ in rows), " ".join(b for _, b in rows)


class Worker:
    """A copy of the repository, and a process in it that forks for every run of the tests."""

    def __init__(self, folder: Path):
        self.copy = folder
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        for name in names:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for stage in ("training", "export"):
            (folder / "ssah_tf" / stage).symlink_to(folder / stage)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: list[str], path: str, code: str | None) -> int:
        """The tests' exit code with a file of another content; `IMPORT_FAILED` as it says."""
        target = self.copy / path
        before = target.read_bytes()
        try:
            if code is not None:
                target.write_text(code, encoding="utf-8")
            self.process.stdin.write(json.dumps({"tests": tests, "path": path}) + "\n")
            self.process.stdin.flush()
            return int(self.process.stdout.readline())
        finally:
            target.write_bytes(before)


def serve() -> None:
    """What the process of a `Worker` does: a line in, a fork, an exit code out."""
    for name in HEAVY:
        importlib.import_module(name)
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:  # leaves at once: destructors would wait for threads that no fork has
            code = 1
            try:
                os.setsid()
                code = one_run(order["tests"], order["path"])
            finally:
                os._exit(code)
        os.write(answers, f"{wait_for(child)}\n".encode())


def one_run(tests: list[str], path: str) -> int:
    """Import the changed module, then run the tests up to the first that fails."""
    import pytest

    sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(path.removesuffix(".py").replace("/", "."))
    except BaseException:
        return IMPORT_FAILED
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is imported already
    return int(pytest.main([*tests, *options]))


def wait_for(child: int) -> int:
    """The exit code of a fork; one that takes too long is killed with what it has started."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def reason(mutant: Mutant, harmless: dict[str, str]) -> str | None:
    """Why a change is one that no caller can see; a key without its end holds for any change."""
    text = str(mutant)
    return next(
        (
            why
            for key, why in harmless.items()
            if text == key or (key.endswith(" ->") and text.startswith(f"{key} "))
        ),
        None,
    )


def main() -> None:
    """Draw, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=60, help="Mutants of each part.")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file for the survivors.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    harmless = json.loads(HARMLESS.read_text(encoding="utf-8")) if HARMLESS.exists() else {}
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        workers = [Worker(Path(scratch) / str(n)) for n in range(arguments.workers)]
        free = list(workers)
        for part in arguments.parts:
            tests = PARTS[part][1]
            if workers[0].run(tests, next(draw(part, 0)).path, None):
                sys.exit(f"{part}: the tests fail without any change")

            def outcome(mutant: Mutant, tests: list[str] = tests) -> tuple[Mutant, int]:
                worker = free.pop()
                try:
                    return mutant, worker.run(tests, mutant.path, mutant.code)
                finally:
                    free.append(worker)

            valid: list[tuple[Mutant, int]] = []
            coming = draw(part, arguments.seed)
            with ThreadPoolExecutor(len(workers)) as pool:
                while len(valid) < arguments.each:
                    some = list(islice(coming, arguments.each - len(valid)))
                    if not some:
                        break
                    valid += [r for r in pool.map(outcome, some) if r[1] != IMPORT_FAILED]
            alive = [mutant for mutant, code in valid if code == 0]
            count = [mutant for mutant in alive if not reason(mutant, harmless)]
            found[part] = {"drawn": len(valid), "alive": [str(m) for m in count]}
            found[part]["harmless"] = [str(m) for m in alive if reason(m, harmless)]
            print(
                f"{part}: {len(valid)} drawn, {len(count)} not noticed "
                f"({len(count) / len(valid):.0%}), {len(alive) - len(count)} more change nothing",
                flush=True,
            )
            for mutant in count:
                print(f"  {mutant}", flush=True)
        for worker in workers:
            worker.process.stdin.close()
            worker.process.wait()
    drawn = sum(part["drawn"] for part in found.values())
    alive = sum(len(part["alive"]) for part in found.values())
    print(f"seed {arguments.seed}: {drawn} mutants, {alive} not noticed, {alive / drawn:.1%}")
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
