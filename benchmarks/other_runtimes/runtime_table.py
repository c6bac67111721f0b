"""Draws `results.json` as the table of docs/deploy.md, in the place of the one that is there.

python benchmarks/other_runtimes/runtime_table.py
"""

import json
from pathlib import Path
from statistics import median

from runtime_list import ONNXRUNTIME, RUNTIMES, Runtime
from trials import STORED

from ssah_tf.system.files import write_atomically

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
HEAD = "| runtime | where | file | bits that differ | time | what it needs |"


def main() -> None:
    """Draw the table anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(HEAD)
    _, _, after = rest.partition("\n\n")
    write_atomically(PAGE, f"{before}{table(json.loads(STORED.read_bytes()))}\n\n{after}".encode())


def table(stored: dict) -> str:
    """Markdown: a row a runtime and file, in the order of `RUNTIMES`."""
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for runtime in RUNTIMES:
        if runtime is ONNXRUNTIME:
            lines.append(row_of(runtime, "0", "1"))
        elif row := stored["rows"].get(runtime.key):
            lines.append(row_of(runtime, *cells(row)))
    return "\n".join(lines)


def cells(row: dict) -> tuple[str, str]:
    """What a row says of bits and of time."""
    if "fails" in row:
        return "does not run", ""
    share = f" ({row['differ'] / row['bits']:.1%})" if row["differ"] else ""
    time = f"{median(row['ratios']):.1f}" if row["ratios"] else "not timed"
    return f"{row['differ']:,} of {row['bits']:,}{share}", time


def row_of(runtime: Runtime, bits: str, time: str) -> str:
    """A line of the table."""
    cells = [runtime.name, runtime.platforms, f"`{runtime.file}`", bits, time, runtime.words]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
