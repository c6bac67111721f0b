"""The same global batches on one, two and four devices: the same weights after the same steps.

The long runs are in float64: what is left there is not rounding, which training amplifies until
float32 says nothing after 20 steps.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("on_devices.py")
CASES = (
    *("contrastive-float64", "likelihood-float64", "csq-float64", "orthohash-float64"),
    *("adamw-float64", "likelihood-float32", "orthohash-float32"),
    *("likelihood-bfloat16", "orthohash-bfloat16"),
)
#: Largest difference that rounding may make, relative for values above 1.
BOUNDS = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 2**-8}  # bfloat16 has 8 bits
STEEP = {"orthohash-bfloat16": 2**-6}  # its first step is four times as large


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each number of devices made of each case: `trained(devices, case)`, name to array."""
    folders = {}

    def read(devices, case):
        if devices not in folders:
            folders[devices] = tmp_path_factory.mktemp(f"devices-{devices}")
            words = [sys.executable, SCRIPT, str(devices), folders[devices]]
            environment = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            subprocess.run(words, check=True, env=os.environ | environment)
        with np.load(folders[devices] / f"{case}.npz") as file:
            return dict(file)

    return read


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_many_devices_equal_one(trained, devices, case):
    """Weights, moving averages, both optimizers, pace and every logged term."""
    one, many = trained(1, case), trained(devices, case)
    assert one.keys() == many.keys()
    bound = STEEP.get(case, BOUNDS[case.split("-")[1]])
    for name, expected in one.items():
        np.testing.assert_allclose(many[name], expected, rtol=bound, atol=bound, err_msg=name)
    # The proof is worth something only if the steps changed far more than the bound allows.
    moved = [
        np.max(np.abs(one[name] - value))
        for start, value in one.items()
        if start.startswith("began/")
        for name in one
        if name.startswith("game/") and name.endswith(start.removeprefix("began"))
    ]
    assert max(moved) > 5 * bound
    logged = {name.split("/")[2] for name in one if name.startswith("log/joint/")}
    terms = {
        "loss",
        "supervised",
        "hard",
        "consistency",
        "trusted",
        "quantisation",
        "balance",
        "adversary",
    }
    assert terms <= logged
    if case.endswith("float64"):
        assert one["log/joint/rho"][0] > 0.1  # the competence did rise
