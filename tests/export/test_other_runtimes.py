"""Other people's runtimes, each installed in an environment of its own, run an export.

What is installed, and how each is driven, is in `benchmarks/other_runtimes`.
"""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.export import export as stage
from ssah_tf.export.verify import bits_apart, decided

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "other_runtimes"))
    trials = importlib.import_module("trials")

RUNTIMES = [runtime for runtime in trials.RUNTIMES if runtime is not trials.ONNXRUNTIME]


@pytest.fixture(scope="module")
def deep_export(evaluated, tmp_path_factory):
    """An export of a deep network with every file, 32 images, and their codes by ONNX file.

    At 64 px: at 32 its last maps are single pixels, with which OpenCV 4.14 and onnx2tf do not cope.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "SAMPLE", 64)
        overrides = ("model.backbone=efficientnet_lite0", "data.image_size=64", "model.bits=48")
        run = evaluated(tmp_path_factory.mktemp("deep") / "run", *overrides)
        forms = {"int8": True, "force": True, "logits": True, "batch": trials.BATCH, "litert": True}
        stage.export(run, load_fashion(), run.folder / "export", **forms)
    images = trials.pictures(run.folder / "export")[:32]
    return run.folder / "export", images, trials.expected_codes(run.folder / "export", images)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.key)
def test_codes(deep_export, runtime, tmp_path):
    if runtime.node and shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    if runtime.needs and shutil.which(runtime.needs) is None:
        pytest.skip(f"{runtime.needs} is not installed")
    folder, images, expected_of = deep_export
    environment = trials.Environment(runtime, tmp_path)
    if runtime.bits == "fails":
        with pytest.raises(trials.RuntimeFails):
            environment.run(folder, images, 1)
    else:
        codes, seconds = environment.run(folder, images, 2)
        assert len(seconds) == 2
        expected = expected_of[runtime.exact]
        apart = bits_apart(codes, expected)
        if runtime.bits == "equal":
            sure = decided(Encoder.load(folder).logits(images))
            assert np.bitwise_count((codes ^ expected) & sure).sum() == 0
            assert apart <= 2
        assert apart < 0.05 * 48 * len(images)
    shutil.rmtree(tmp_path)  # some are of several hundred MB
