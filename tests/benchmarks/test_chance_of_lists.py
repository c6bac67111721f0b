"""The table of random codes on lists: by hand, on four images."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "chance_of_lists.py"


def test_row(tmp_path):
    """One of two images is relevant to query 0, none to query 1.

    At rank 1 query 0 gets 1/2 by each denominator; over all (1 + 1/2) / 2 = 3/4. Query 1 gets 0.
    """
    spec = importlib.util.spec_from_file_location("chance_of_lists", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "test.txt").write_text("q0 1 0\nq1 0 0\n")
    (folder / "train.txt").write_text("a 1 0\nb 0 1\n")
    row = "| two | 2 | 2 | .250 | .375 | .250 | .250 | .250 | .500 |"
    assert script.row_of(folder, [1]) == row
    (folder / "database.txt").write_text("a 1 0\nb 0 1\nc 1 1\nd 1 0\n")
    # three of four: 3/4 at rank 1, of at most one there, of three in all
    assert script.row_of(folder, [1]).endswith("| .375 | .375 | .125 | .500 |")
