"""What is drawn with is imported by what draws alone: Matplotlib and Jinja2 by the report."""

import os
import subprocess
import sys

import pytest

#: `None` in `sys.modules` makes an import fail; Keras imports Matplotlib if it is there.
BLOCKED = "import sys; sys.modules.update(matplotlib=None, jinja2=None)\n"
TRAINING = """
from pathlib import Path
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.start import start
from ssah_tf.training.train import train
changes = (
    "model.options.width=4", "model.bits=8", "adversary.width=4", "train.batch=10",
    "train.steps_per_epoch=1", "train.hnet_warmup=0", "train.anet_warmup=0", "train.joint=1",
)
run, loaded = start(load_recipe("fashion", changes), Path("run"))
train(run, loaded.images)
evaluate(run, loaded.images)
assert run.album_path.is_file() and not run.picture_path.exists()
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            "import ssah_tf.export.export, ssah_tf.cli.app", id="export", marks=pytest.mark.slow
        ),
        pytest.param(TRAINING, id="train", marks=pytest.mark.slow),
    ],
)
def test_without_what_draws(tmp_path, code):
    """An export, and a training with its album of hard samples and its numbers."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code],
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_block_works(tmp_path):
    """The report needs both, so the tests above can fail."""
    code = BLOCKED + "import ssah_tf.training.report"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr
