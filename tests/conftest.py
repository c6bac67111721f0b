"""What the tests share: two logical CPUs, one strategy over them, small networks and batches."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def logical_cpus():
    """Two logical CPUs; must come before anything else of TensorFlow."""
    from ssah_tf.training.devices import split_cpu

    split_cpu(2)


@pytest.fixture(scope="session")
def mirrored(logical_cpus):
    """The one `MirroredStrategy` of the process: a second one would hang in its collectives."""
    from ssah_tf.training.devices import make_strategy

    return make_strategy(2)


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)
