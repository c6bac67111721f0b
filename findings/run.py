"""Run each finding of this folder, and say which behaviours have changed.

    python findings/run.py [FOLDER]

A finding is a script of its own that ends with 0 if what it describes is still so, and prints
CHANGED and ends otherwise if not. One that ends so without that word could not be run: a package
may be out of reach. They download packages, so none of this is part of the tests.

Exit code 0: all as described; 1: some have changed; 2: none has, but some could not be run.
"""

import subprocess
import sys
from pathlib import Path


def outcome(script: Path) -> tuple[str, str]:
    """`as described`, `CHANGED` or `not run`, and the last line that tells about it."""
    done = subprocess.run(
        ["bash", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode == 0:
        return "as described", ""
    changed = [line for line in said if line.startswith("CHANGED")]
    return ("CHANGED", changed[-1]) if changed else ("not run", said[-1] if said else "")


def main(folder: Path) -> int:
    """Run all of a folder, one after another, and print a line each."""
    ends = []
    for script in sorted(folder.glob("*.sh")):
        end, line = outcome(script)
        ends.append(end)
        print(f"{end:<14}{script.stem}" + (f": {line}" if line else ""), flush=True)
    counts = [f"{ends.count(end)} {end}" for end in ("as described", "CHANGED", "not run")]
    print(", ".join(counts))
    return 1 if "CHANGED" in ends else 2 if "not run" in ends else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
