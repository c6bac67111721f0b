"""What makes two networks the same, as a hash."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np


def digest_of_network(what: dict[str, Any], variables: Iterable[keras.Variable]) -> str:
    """SHA-256 of what a network is and of its variables, hexadecimal.

    Args:
        what: What the variables do not say; see `Backbone.identity`.
        variables: In their order; as float32, whatever they are.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for variable in variables:
        value = np.ascontiguousarray(variable.numpy(), dtype=np.float32)
        digest.update(repr(value.shape).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
