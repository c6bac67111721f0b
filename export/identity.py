"""What makes two encoders the same: weights and preprocessing."""

import hashlib
import json

import numpy as np

from ssah_tf.data.decode import RULE as DECODE_RULE
from ssah_tf.models import HNet


def model_id(hnet: HNet, size: int) -> str:
    """A hash of weights and preprocessing, 16 hexadecimal digits.

    Codes of encoders with different ids must not be compared. The appearance layer is among the
    weights, since appearance codes are compared, too; an encoder without one has the id that it
    always had.

    Args:
        hnet: The encoder.
        size: Side of the images in pixels.
    """
    digest = hashlib.sha256()
    what = {
        "decode_rule": DECODE_RULE,
        "size": size,
        "bits": hnet.bits,
        **hnet.backbone.identity(),
    }
    digest.update(json.dumps(what, sort_keys=True).encode())
    for variable in hnet.variables:
        value = np.ascontiguousarray(variable.numpy(), dtype=np.float32)
        digest.update(repr(value.shape).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:16]
