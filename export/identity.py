"""What makes two encoders the same: weights and preprocessing."""

from ssah_tf.data.decode import RULE as DECODE_RULE
from ssah_tf.models import HNet
from ssah_tf.models.identity import digest_of_network


def model_id(hnet: HNet, size: int) -> str:
    """A hash of weights and preprocessing, 16 hexadecimal digits.

    Codes of encoders with different ids must not be compared. The appearance layer is among the
    weights, since appearance codes are compared, too; an encoder without one has the id that it
    always had.

    Args:
        hnet: The encoder.
        size: Side of the images in pixels.
    """
    what = {
        "decode_rule": DECODE_RULE,
        "size": size,
        "bits": hnet.bits,
        **hnet.backbone.identity(),
    }
    return digest_of_network(what, hnet.variables)[:16]
