"""Has something become slower? Runs short pieces of work of a commit and of this checkout in turns.

    python benchmarks/against.py COMMIT [PIECE ...] [--turns 9]

The commit is installed in an environment of its own, `build/against/`, with the versions that it
was tested with; that is kept. Both environments run the pieces of `pieces.py` of this checkout. The
ratio is that of processor time, this checkout to the commit, of each turn, so that a moment in
which the machine is slow counts for both. Printed are the middle ratio and an interval that holds
the true middle with 95 % at least. "slower" is what lies above 1.03 with the whole interval. The
exit code is 1 if a piece is slower. One line of JSON at the end.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median

from pieces import PIECES

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "against"
#: What is no more than noise of a machine.
SLOWER = 1.03


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--turns", type=int, default=9)
    given = parser.parse_args()
    if unknown := set(given.pieces) - PIECES.keys():
        raise SystemExit(f"{', '.join(sorted(unknown))}: choose from {', '.join(PIECES)}")
    if given.turns < 6:
        raise SystemExit(f"--turns {given.turns}: fewer than 6 give no interval")
    commit = resolve(given.commit)
    pythons = (Path(sys.executable), environment(commit))
    print(f"this checkout against {commit[:12]}, processor time")
    print(f"{'piece':<12} {'ratio':>6} {'interval':>14}")
    rows, slower = {}, False
    for piece in given.pieces or PIECES:
        ratios = in_turns(pythons, piece, given.turns)
        low, high = interval(ratios)
        word = verdict(low, high)
        rows[piece] = {"ratio": median(ratios), "interval": [low, high]}
        slower |= word == "slower"
        print(f"{piece:<12} {median(ratios):>6.3f} {low:>6.3f} .. {high:<6.3f} {word}", flush=True)
    print(json.dumps({"commit": commit, "turns": given.turns, "rows": rows}))
    sys.exit(slower)


def resolve(commit: str) -> str:
    """The whole name of a commit; ends with a line if there is none of this name."""
    command = ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"{commit}: no commit of this repository")
    return found.stdout.strip()


def environment(commit: str) -> Path:
    """Python of the environment that has a commit; it is made where it is not there whole."""
    folder = KEPT / commit[:12]
    python, source = folder / "venv/bin/python", folder / "source"
    if not (folder / "whole").exists():
        source.mkdir(parents=True, exist_ok=True)
        print(f"installing {commit[:12]} in {folder}", file=sys.stderr)
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=source, check=True, input=archive.stdout)
        venv.create(folder / "venv", with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install += ["--constraint", "constraints.txt", "--editable", ".[train,dev]"]
        subprocess.run(install, cwd=source, check=True)
        (folder / "whole").touch()
    return python


def in_turns(pythons: tuple[Path, Path], piece: str, turns: int) -> list[float]:
    """The ratio of processor time of each turn, the first environment to the second."""
    script = Path(__file__).with_name("pieces.py")
    with tempfile.TemporaryFile("w+") as told:
        workers = [
            subprocess.Popen(
                [python, script, piece],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                bufsize=1,
            )
            for python in pythons
        ]
        try:
            for worker, python in zip(workers, pythons, strict=True):
                if worker.stdout.readline() != "ready\n":
                    worker.wait()
                    told.seek(0)
                    why = (told.read().splitlines() or ["it said nothing"])[-1]
                    raise SystemExit(f"{piece}: does not run in {python} ({why})")
            took = []
            for _ in range(turns):
                for worker in workers:
                    worker.stdin.write("\n")
                    took.append(float(worker.stdout.readline()))
        finally:
            for worker in workers:
                worker.communicate()  # it ends where its stdin does
    return [own / before for own, before in zip(took[::2], took[1::2], strict=True)]


def interval(ratios: list[float]) -> tuple[float, float]:
    """Between which of some ratios their true middle lies, with 95 % at least.

    A ratio is above the true middle or below it as a coin falls, so that the chance that all but
    fewer than `rank` lie on one side is a sum of binomials: no shape of the noise is assumed.
    """
    count = len(ratios)
    rank = 0
    while 2 * sum(math.comb(count, k) for k in range(rank + 1)) <= 0.05 * 2**count:
        rank += 1
    if not rank:
        raise ValueError(f"{count} ratios, expected 6 or more")
    return sorted(ratios)[rank - 1], sorted(ratios)[count - rank]


def verdict(low: float, high: float) -> str:
    """What an interval says: "slower", "quicker", or nothing."""
    return "slower" if low > SLOWER else "quicker" if high < 1 / SLOWER else ""


if __name__ == "__main__":
    main()
