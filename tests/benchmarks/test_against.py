"""The arithmetic of a comparison with another commit, and what is said of what cannot be run."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def against():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("against")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize(
    ("count", "ends"),
    # 2 * (1 + 9) of 512 are 3.9 %, 2 * (1 + 9 + 36) are 18 %; 2 of 64 are 3.1 %, 2 of 32 are 6.3 %.
    [(9, (2, 8)), (8, (1, 8)), (6, (1, 6)), (12, (3, 10))],
)
def test_an_interval_leaves_out_as_many_ratios_as_coins_allow(against, count, ends):
    ratios = [float(k) for k in range(count, 0, -1)]
    assert against.interval(ratios) == ends


def test_five_ratios_give_no_interval(against):
    with pytest.raises(ValueError, match="5 ratios, expected 6 or more"):
        against.interval([1.0] * 5)


def test_slower_is_what_lies_above_with_the_whole_interval(against):
    assert against.verdict(1.031, 1.2) == "slower"
    assert against.verdict(1.03, 1.2) == ""
    assert against.verdict(0.9, 0.98) == ""
    assert against.verdict(0.9, 0.96) == "quicker"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["no-such-commit"], "no-such-commit: no commit of this repository"),
        (["HEAD", "knitting"], "knitting: choose from evaluation, step, features, "),
        (["HEAD", "--turns", "5"], "--turns 5: fewer than 6 give no interval"),
    ],
)
def test_what_cannot_be_compared_is_a_line(against, monkeypatch, words, line):
    monkeypatch.setattr(sys, "argv", ["against.py", *words])
    with pytest.raises(SystemExit, match=line):
        against.main()


def test_a_piece_that_does_not_run_is_named_with_its_environment(against):
    pythons = (Path(sys.executable), Path(sys.executable))
    with pytest.raises(SystemExit, match=r"knitting: does not run in .*python.* \(KeyError"):
        against.in_turns(pythons, "knitting", 6)


@pytest.mark.slow
def test_an_environment_has_the_commit_and_is_kept(against, tmp_path, monkeypatch):
    """A small package stands for the product; pip fetches what builds it."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "constraints.txt").touch()
    (root / "pyproject.toml").write_text(
        '[project]\nname = "small"\nversion = "1"\n'
        "[project.optional-dependencies]\ntrain = []\ndev = []\n"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], cwd=root, check=True)
    for number in (1, 2):
        (root / "small.py").write_text(f"NUMBER = {number}")
        subprocess.run([*git, "add", "."], cwd=root, check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", "a"], cwd=root, check=True)
    monkeypatch.setattr(against, "ROOT", root)
    monkeypatch.setattr(against, "KEPT", tmp_path / "kept")
    python = against.environment(against.resolve("HEAD~1"))
    words = [python, "-c", "import small; print(small.NUMBER)"]
    assert subprocess.run(words, capture_output=True, text=True).stdout == "1\n"
    made = (python.parents[2] / "whole").stat().st_mtime_ns
    assert against.environment(against.resolve("HEAD~1")) == python
    assert (python.parents[2] / "whole").stat().st_mtime_ns == made


@pytest.mark.slow
def test_both_environments_run_a_piece_in_turns(against):
    ratios = against.in_turns((Path(sys.executable), Path(sys.executable)), "single", 3)
    assert len(ratios) == 3
    assert all(0 < ratio < 100 for ratio in ratios)
