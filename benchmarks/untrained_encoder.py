"""An encoder that is not trained, for benchmarks: speed does not depend on its weights."""

from pathlib import Path


def write_encoder(folder: Path, backbone: str = "resnet20", size: int = 32, bits: int = 64) -> Path:
    """Its ONNX file."""
    import numpy as np

    from ssah_tf.export.graph import encoder_function
    from ssah_tf.export.onnx_model import write_onnx
    from ssah_tf.models import HNet
    from ssah_tf.models.backbones import BACKBONES

    hnet = HNet(BACKBONES[backbone](), bits)
    hnet(np.zeros((1, size, size, 3), np.uint8))
    path = folder / "encoder.onnx"
    write_onnx(encoder_function(hnet, size), path, 18, facts_of(hnet, backbone, size))
    return path


def facts_of(hnet, backbone: str, size: int) -> dict[str, str]:
    """What the file says of an encoder."""
    from ssah_tf.export.identity import DECODE_RULE, model_id

    about = {"model_id": model_id(hnet, size), "bits": hnet.bits, "image_size": size}
    about |= {"decode_rule": DECODE_RULE, "backbone": backbone}
    about |= {"recipe_hash": "none", "product_version": "benchmark"}
    return {key: str(value) for key, value in about.items()}
