"""Times the features of a frozen backbone in TensorFlow, ONNX Runtime and OpenVINO, in turns.

    python benchmarks/feature_speed.py [--sides 224 160] [--rounds 7] [--integers]

`efficientnet_lite0` with random weights, batches of 64 arrays of made-up pixels, as `ssah train`,
`baseline` and `evaluate` compute them (`ssah_tf/models/inference.py`). Milliseconds an image, wall
clock and processor, medians of the rounds; how much quicker than TensorFlow, the median of the
paired ratios; and what the conversion costs. With `--integers` also in 8-bit integers, which the
product does not do with features. One line of JSON at the end. Run it on an idle machine.
"""

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssah_tf.export.int8 import quantise
from ssah_tf.models.backbones import EfficientNetLite0
from ssah_tf.models.inference import converted, in_onnx_runtime, in_openvino
from ssah_tf.training.machine import machine

BATCH = 64


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 160])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--integers", action="store_true", help="Also in 8-bit integers.")
    given = parser.parse_args()
    result = {"machine": machine(), "batch": BATCH, "rows": []}
    print(f"{'side':>4} {'runtime':<24} {'ms':>6} {'CPU ms':>7} {'quicker':>8} {'apart':>8}")
    for side in given.sides:
        for row in measure(side, given.rounds, given.integers):
            print(
                f"{side:>4} {row['runtime']:<24} {row['ms']:>6.1f} {row['CPU ms']:>7.1f} "
                f"{row['quicker']:>8.2f} {row['apart']:>8.0e}",
                flush=True,
            )
            result["rows"].append({"side": side, **row})
    print(json.dumps(result))


def measure(side: int, rounds: int, integers: bool) -> list[dict]:
    """A row a runtime."""
    backbone = EfficientNetLite0(weights="none")
    backbone.build((None, side, side, 3))
    began = time.perf_counter()
    model = converted(backbone, side)
    conversion = time.perf_counter() - began
    print(f"{side:>4} converted in {conversion:.1f} s")
    images = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    traced = tf.function(lambda batch: backbone(batch, training=False), reduce_retracing=True)
    runtimes = {
        "TensorFlow": lambda images: traced(tf.constant(images)).numpy(),
    }
    files = {"": model}
    if integers:
        files[" in integers"] = in_integers(model, images)
    for of, file in files.items():
        runtimes[f"ONNX Runtime{of}"] = in_onnx_runtime(file)
        if importlib.util.find_spec("openvino") is not None:
            runtimes[f"OpenVINO{of}"] = in_openvino(file, side)
    expected = runtimes["TensorFlow"](images)
    apart = {
        name: float(np.abs(see(images) - expected).max() / np.abs(expected).max())
        for name, see in runtimes.items()
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in runtimes}
    for _ in range(rounds):
        for name, see in runtimes.items():
            cpu, wall = time.process_time(), time.perf_counter()
            see(images)
            took[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    first = np.array(took["TensorFlow"])[:, 0]
    rows = []
    for name, times in took.items():
        wall, cpu = (1000 * np.array(times) / BATCH).T
        quicker = np.median(first / np.array(times)[:, 0])
        rows.append(
            {
                "runtime": name,
                "ms": float(np.median(wall)),
                "CPU ms": float(np.median(cpu)),
                "quicker": float(quicker),
                "apart": apart[name],
                "conversion, s": conversion,
            }
        )
    return rows


def in_integers(model: bytes, images: np.ndarray) -> bytes:
    """A network in ONNX, quantised by some images."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "floats.onnx", Path(folder) / "integers.onnx"
        source.write_bytes(model)
        quantise(source, target, images)
        return target.read_bytes()


if __name__ == "__main__":
    main()
