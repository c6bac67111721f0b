"""The runner of the findings, on made-up ones; the scripts themselves download packages."""

import subprocess
import sys
from pathlib import Path

import pytest

FINDINGS = Path(__file__).parents[2] / "findings"
SCRIPTS = {
    "same": "echo first; echo as described",
    "changed": "echo one; echo 'CHANGED: wrong are none'; echo more; exit 1",
    "broken": "set -e; echo no such package >&2; false; echo CHANGED",
    "silent": "exit 3",
}


def run(folder, *names):
    for name in names:
        (folder / f"{name}.sh").write_text(SCRIPTS[name])
    (folder / "notes.txt").write_text("exit 1")
    done = subprocess.run(
        [sys.executable, FINDINGS / "run.py", folder], stdout=subprocess.PIPE, text=True
    )
    return done.returncode, done.stdout.splitlines()


def test_each_finding_has_a_line(tmp_path):
    assert run(tmp_path, *SCRIPTS) == (
        1,
        [
            "not run       broken: no such package",
            "CHANGED       changed: CHANGED: wrong are none",
            "as described  same",
            "not run       silent",
            "1 as described, 1 CHANGED, 2 not run",
        ],
    )


@pytest.mark.parametrize(
    ("names", "code"), [(["same"], 0), (["same", "broken"], 2), (["broken", "changed"], 1)]
)
def test_exit_code(tmp_path, names, code):
    assert run(tmp_path, *names)[0] == code


def test_findings_keep_what_the_runner_expects():
    """Each says how it ends, prints CHANGED if it is not so any more, and leaves nothing."""
    scripts = sorted(FINDINGS.glob("*.sh"))
    assert scripts
    for script in scripts:
        text = script.read_text()
        assert "CHANGED" in text and "exit code 0: as described" in text, script
        assert "mktemp" in text and "trap " in text, script
