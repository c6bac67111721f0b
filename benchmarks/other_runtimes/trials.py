"""Runs an export in other people's runtimes, beside ONNX Runtime: which bits differ, and how quick.

    python benchmarks/other_runtimes/trials.py EXPORT [--only PATTERN] [--images 256] [--turns 3]
        [--note TEXT] [--keep DIR]

EXPORT is what `ssah export RUN --int8 --logits --litert --batch 16` wrote. Each runtime of
`runtime_list.py` gets an environment of its own, with packages from PyPI and npm, which is removed
afterwards, or kept in DIR. The images are those of `reference.npz`, and the same mirrored, upside
down and both. Speed is processor time on one thread, as a ratio to ONNX Runtime: a turn is the one
and then the other, and the middle of the turns counts; without turns, the bits are counted and the
speed of an older row stays. Rows go to `results.json` as they are done,
in the place of older ones; `runtime_table.py` draws them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
from runtime_list import DRIVERS, FLOATS, INT8, NODE, ONNXRUNTIME, RUNTIMES, Runtime

from ssah_tf import Encoder
from ssah_tf.system.files import write_atomically

STORED = Path(__file__).with_name("results.json")
#: One thread, in whatever library looks for one of these.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
#: Images at once, and passes over them in a turn.
BATCH, PASSES = 16, 3


class RuntimeFails(Exception):
    """A driver ended with an error; its last line."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--only", default="", help="rows whose name and file this matches")
    parser.add_argument("--images", type=int, default=256, help="so many at most")
    parser.add_argument("--turns", type=int, default=3, help="of speed, 0 for none")
    parser.add_argument("--note", default="", help="said above the table")
    parser.add_argument("--keep", type=Path, help="environments are kept here, and used again")
    given = parser.parse_args()
    images = pictures(given.export)[: given.images]
    expected = expected_codes(given.export, images)
    bits = Encoder.load(given.export, threads=1).bits
    for runtime in RUNTIMES:
        if not re.search(given.only, runtime.key) or runtime is ONNXRUNTIME:
            continue
        if not (given.export / runtime.file).exists():
            print(f"{runtime.key}: not in this export")
            continue
        row = {"bits": len(images) * bits, "date": str(date.today())}
        with tempfile.TemporaryDirectory() as folder:
            place = given.keep or Path(folder)
            row |= measure(
                runtime, given.export, images, expected[runtime.exact], given.turns, place
            )
        print(runtime.key, row, flush=True)
        keep(runtime.key, row, given.note)


def pictures(export: Path) -> np.ndarray:
    """The images that travel with an export, in four positions, uint8 `(n, size, size, 3)`."""
    with np.load(export / "reference.npz") as arrays:
        images = arrays["images"]
    return np.concatenate([images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]])


def expected_codes(export: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Codes of ONNX Runtime, uint8 `(n, bytes)`, by the file: in floats, and in integers."""
    files = [file for file in (FLOATS, INT8) if (export / file).exists()]
    return {file: Encoder.load(export / file, threads=1).encode(images) for file in files}


def measure(
    runtime: Runtime,
    export: Path,
    images: np.ndarray,
    expected: np.ndarray,
    turns: int,
    folder: Path,
) -> dict:
    """Bits that differ, and the ratio of each turn; or why it fails."""
    ratios = []
    try:
        own, env = Environment(ONNXRUNTIME, folder), Environment(runtime, folder)
        codes, theirs = env.run(export, images, PASSES if turns else 0)
        differ = int(np.bitwise_count(codes ^ expected).sum())
        for turn in range(turns):
            if turn:
                _, theirs = env.run(export, images[:BATCH], PASSES)
            _, ours = own.run(export, images[:BATCH], PASSES)
            ratios.append(round(median(theirs) / median(ours), 2))
    except RuntimeFails as error:
        return {"fails": str(error)}
    return {"differ": differ, "ratios": ratios}


class Environment:
    """Where a runtime is installed.

    Args:
        runtime: What to install.
        folder: Holds it, and what the runtime writes.
    """

    def __init__(self, runtime: Runtime, folder: Path):
        self.runtime, self.folder = runtime, folder
        self.drivers, self.program = DRIVERS, sys.executable
        what = "+".join(runtime.packages + runtime.node)
        place = folder / re.sub(r"[^\w.+=-]", "_", what)
        if runtime.needs and shutil.which(runtime.needs) is None:
            raise RuntimeFails(f"{runtime.needs} is not installed")
        if runtime.packages:
            self.program = str(place / "bin" / "python")
        if runtime.node:
            self.drivers, self.program = place, "node"
        if what and not place.exists():
            install(runtime, place)

    def run(self, export: Path, images: np.ndarray, passes: int) -> tuple[np.ndarray, list[float]]:
        """Codes, and the seconds of processor time an image took in each pass.

        Raises:
            RuntimeFails: The driver did.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as work:
            np.save(Path(work) / "images.npy", images)
            words = [export.resolve() / self.runtime.file, work, passes, *self.runtime.options]
            script = [self.program, self.drivers / self.runtime.driver]
            out = call([*script, *words], env=os.environ | ONE_THREAD)
            return np.load(Path(work) / "codes.npy"), json.loads(out.splitlines()[-1])


def install(runtime: Runtime, place: Path) -> None:
    """Install what a runtime needs; drivers in JavaScript look for packages beside them."""
    if runtime.packages:
        call([sys.executable, "-m", "venv", place])
        call([place / "bin" / "python", "-m", "pip", "install", "--quiet", *runtime.packages])
    if runtime.node:
        shutil.copytree(DRIVERS, place, dirs_exist_ok=True)
        words = ["npm", "install", "--no-audit", "--no-fund", *runtime.node]
        call(words, cwd=place, env=os.environ | NODE)


def call(words: list, **how) -> str:
    """What a program prints.

    Raises:
        RuntimeFails: It ended with an error.
    """
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **how)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if re.search(r"[Ee]rror", line)]
        raise RuntimeFails((lines or [f"ended with {done.returncode}"])[-1].strip()[:200])
    return done.stdout


def keep(key: str, row: dict, note: str) -> None:
    """Put a row into what is stored."""
    stored = json.loads(STORED.read_bytes()) if STORED.exists() else {"rows": {}}
    older = stored["rows"].get(key, {})
    if not row.get("ratios", True):
        row["ratios"] = older.get("ratios", [])
    stored["rows"][key] = row
    stored["note"] = note or stored.get("note", "")
    write_atomically(STORED, json.dumps(stored, indent=1).encode())


if __name__ == "__main__":
    main()
