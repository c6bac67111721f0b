"""What the README tells a reader to type does work, in the order in which it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Makes a training of the README a matter of seconds.
SMALL = (
    "--set train.steps_per_epoch=2 --set train.hnet_warmup=1 --set train.joint=1 "
    "--set train.batch=8 --set adversary.width=8"
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def commands():
    lines = "".join(blocks("bash")).splitlines()
    return [line.split("  #")[0].split("   #")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The folder that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    for number in range(30):
        name = (
            ("cats", "dogs", "unlabelled")[number % 3]
            if number > 5
            else ("cats", "dogs")[number % 2]
        )
        path = folder / "photos" / name / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(path)
    return folder


def test_make_verbs_exist():
    makefile = (ROOT / "Makefile").read_text()
    verbs = re.findall(r"`?make ([a-z-]+)", README)
    assert {"train", "test", "help", "ablation", "bench"} <= set(verbs)
    for verb in verbs:
        assert re.search(rf"^{verb}:.*## ", makefile, flags=re.M), verb
    assert {c.split()[1] for c in commands() if c.startswith("make ")} == {"train", "test"}


def test_ssah_commands_and_the_python_example_run(photos):
    run = [c for c in commands() if c.startswith("ssah ")]
    assert len(run) == 4
    for command in run:
        words = shlex.split(command)
        if words[1] == "train" and "--resume" not in words:
            words += shlex.split(SMALL)
        result = subprocess.run(
            [sys.executable, "-m", "ssah_tf.cli", *words[1:]],
            cwd=photos,
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        assert "mAP@all, tie-aware" in result.stdout
        assert "Protocol: photos:" in result.stdout
    (code,) = blocks("python")
    example = f"{code}\nassert codes.shape == (1, 6) and codes.dtype == np.uint8"
    subprocess.run([sys.executable, "-c", example], cwd=photos, check=True, capture_output=True)


def test_files_and_links_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"^(\w+/\S*)", "".join(blocks("")), flags=re.M):
        if path != "photos/":
            assert (ROOT / path).exists(), path


def test_numbers_are_those_of_the_stored_rows():
    stored = json.loads((ROOT / "training" / "reference" / "fashion.json").read_text())
    for row in stored["rows"]:
        assert f"| {row['title']} | {row['mean']:.3f} ± {row['std']:.3f} |" in README
    full = stored["rows"][-1]
    assert full["title"] == "full method"
    assert f"{full['map'][0]:.3f}" in README
    assert stored["date"] in README
