"""Times an exported encoder beside the bare runtime, other runtimes and 8-bit integers.

    python benchmarks/encoder_speed.py [--backbone resnet20] [--size 32] [--photos 1500]

The weights are not trained: speed does not depend on them. All on the same images and batches, in
turns. Best of five, on all cores: `Encoder` from arrays beside `onnxruntime` alone; the SavedModel
in TensorFlow; the encoder in integers; and `Encoder` from JPEG files of 640 x 480 beside decoding
alone and the network alone on one core each, since the two share the machine: for an idle machine
of two cores. The middle of seven, in processor time and so for any machine: the runtimes of
`Encoder` beside ONNX Runtime, on one thread. One line of JSON at the end.
"""

import argparse
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from input_pipeline import make_photos
from timing import processor_ratios, rates
from untrained_encoder import facts_of

from ssah_tf import Encoder
from ssah_tf.data.decode import decode
from ssah_tf.encoding.runtimes import FILES
from ssah_tf.export.graph import encoder_function
from ssah_tf.export.identity import model_id
from ssah_tf.export.int8 import write_int8
from ssah_tf.export.litert import write_litert
from ssah_tf.export.onnx_model import write_onnx
from ssah_tf.export.saved_model import write_saved_model
from ssah_tf.export.verify import INT8
from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES
from ssah_tf.system.onnx_session import open_session
from ssah_tf.training.machine import machine

BITS = 48
BATCH = 64


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet20", choices=BACKBONES)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--photos", type=int, default=1500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(str(p) for p in make_photos(Path(folder) / "photos").rglob("*.jpg"))
        paths = (paths * (given.photos // len(paths) + 1))[: given.photos]
        pixels = np.stack([decode(path, given.size) for path in paths[:600]])
        write_artefacts(Path(folder), given.backbone, pixels)
        result = {"machine": machine(), "backbone": given.backbone, "size": given.size}
        result |= arrays(Path(folder), pixels) | files(Path(folder), paths, pixels)
        result |= runtimes(Path(folder), pixels)
    for name, value in result.items():
        print(f"{name:<40} {value}")
    print(json.dumps(result))


def write_artefacts(folder: Path, backbone: str, pixels: np.ndarray) -> None:
    """The files of a new encoder, as in an export."""
    size = pixels.shape[1]
    hnet = HNet(BACKBONES[backbone](), BITS)
    hnet(pixels[:64], training=True)
    encode = encoder_function(hnet, size)
    onnx, saved_model = folder / FILES["onnxruntime"], folder / FILES["tensorflow"]
    write_onnx(encode, onnx, 18, facts_of(hnet, backbone, size))
    write_int8(onnx, folder / INT8, pixels[:256])
    write_litert(encode, folder / FILES["litert"])
    saved_model.parent.mkdir()
    facts = {"model_id": model_id(hnet, size), "bits": BITS, "image_size": size}
    write_saved_model(encode, hnet, size, saved_model, facts)


def arrays(folder: Path, pixels: np.ndarray) -> dict:
    """Images a second from arrays, all cores, the same batches."""
    encoder, integers = Encoder.load(folder), Encoder.load(folder / INT8)
    served = Encoder.load(folder, runtime="tensorflow")
    session = open_session(folder / FILES["onnxruntime"])
    pixels = np.concatenate([pixels] * 4)
    batches = [pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)]

    def bare() -> None:
        for batch in batches:
            session.run(["codes"], {"images": batch})

    found = rates(
        len(pixels),
        {
            "onnxruntime alone": bare,
            "Encoder": lambda: encoder.encode(pixels, BATCH),
            "SavedModel": lambda: served.encode(pixels, BATCH),
            "int8": lambda: integers.encode(pixels, BATCH),
        },
    )
    return {
        **{f"arrays: {name}, img/s": round(value) for name, value in found.items()},
        "Encoder / onnxruntime": round(found["Encoder"] / found["onnxruntime alone"], 3),
        "ONNX / SavedModel": round(found["onnxruntime alone"] / found["SavedModel"], 2),
        "int8 / float": round(found["int8"] / found["Encoder"], 2),
    }


def runtimes(folder: Path, pixels: np.ndarray) -> dict:
    """Processor time of each runtime on one thread, as a ratio to ONNX Runtime."""
    loaded = {name: Encoder.load(folder, runtime=name, threads=1) for name in FILES}
    rows = {name: partial(one.encode, pixels[:256], BATCH) for name, one in loaded.items()}
    return {f"{name} / onnxruntime": round(x, 2) for name, x in processor_ratios(rows).items()}


def files(folder: Path, paths: list[str], pixels: np.ndarray) -> dict:
    """Images a second from JPEG files, beside decoding and network on one core each."""
    encoder, single = Encoder.load(folder), Encoder.load(folder, threads=1)
    size = pixels.shape[1]
    many = np.concatenate([pixels] * (len(paths) // len(pixels) + 1))[: len(paths)]
    with ThreadPoolExecutor(1) as one_core:
        found = rates(
            len(paths),
            {
                "decode on one core": lambda: list(one_core.map(lambda p: decode(p, size), paths)),
                "network on one core": lambda: single.encode(many, BATCH),
                "Encoder": lambda: encoder.encode(paths, BATCH),
            },
        )
    slower = min(found["decode on one core"], found["network on one core"])
    return {
        **{f"files: {name}, img/s": round(value) for name, value in found.items()},
        "Encoder / slower of the two": round(found["Encoder"] / slower, 3),
    }


if __name__ == "__main__":
    main()
