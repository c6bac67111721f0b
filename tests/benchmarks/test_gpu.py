"""The script for a GPU, where there is none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"


def run(*words, **environment):
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "CUDA_VISIBLE_DEVICES": "-1",
    } | environment
    return subprocess.run(["bash", SCRIPT, *words], env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_without_a_gpu_that_is_the_result():
    done = run()
    assert done.returncode == 0
    assert re.fullmatch(r"TensorFlow sees no GPU: TensorFlow [\d.]+, no GPU\n", done.stdout)


def test_without_tensorflow_that_is_the_result(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcuda is away')")
    done = run(PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (
        0,
        "TensorFlow sees no GPU: ImportError: libcuda is away\n",
    )


def test_another_word_is_refused():
    done = run("--gpu")
    assert (done.returncode, done.stderr) == (2, "--gpu: expected --data DIR or --cpu\n")


@pytest.mark.slow
def test_all_parts_run_on_a_cpu_at_a_small_size():
    done = run("--cpu", LIMIT="3600")
    assert done.returncode == 0, done.stderr
    assert "ended with exit code" not in done.stdout, done.stdout + done.stderr
    # The same steps on the same device are the same.
    assert "largest difference 0.0e+00, relative to the way 0.0e+00" in done.stdout
    for row in ("XLA ", "bfloat16 ", "full method ", "64 ONNX Runtime "):
        assert re.search(f"^ *{row}", done.stdout, flags=re.M)
