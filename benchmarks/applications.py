"""Which networks of `keras.applications` can be exported: all of them, with random weights.

    python benchmarks/applications.py                   # the table of the docs, from stored rows
    python benchmarks/applications.py --measure         # makes the rows that are missing
    python benchmarks/applications.py --measure VGG16   # makes some rows, anew

Each network is built in a process of its own, at 64 px or at its smallest size. Its statistics are
made those of made-up images, so that codes differ. It is saved, loaded, and exported to ONNX and
SavedModel as `ssah export` does it. The bits of both are held against those of the saved encoder.
Rows are kept in `applications.json` beside this file as they are made.

Large networks need much memory: `ConvNeXtLarge` took 14 GB, `ConvNeXtXLarge` more than 22.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STORED = Path(__file__).with_suffix(".json")
#: Sides in pixels, the first at which a network can be built is taken.
SIZES = (64, 75)
BITS = 48
IMAGES = 64


def main() -> None:
    """Print the table, or make its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="*", metavar="NETWORK")
    parser.add_argument("--network", help="Print the row of one network, as JSON.")
    given = parser.parse_args()
    if given.network:
        print(json.dumps(row_of(given.network)))
        return
    if given.measure is not None:
        measure(given.measure)
    print(table(json.loads(STORED.read_bytes())))


def measure(names: list[str]) -> None:
    """Make the rows of some networks, or those that are missing, each in a process of its own."""
    from ssah_tf.models.backbones.keras_application import APPLICATIONS
    from ssah_tf.system.files import write_atomically

    rows = json.loads(STORED.read_bytes()) if STORED.exists() else {}
    for name in names or sorted(set(APPLICATIONS) - set(rows)):
        row = in_process(name)
        print(f"{name}: {row}", flush=True)
        if "failed" in row:
            continue
        rows[name] = row
        text = json.dumps(dict(sorted(rows.items())), indent=1) + "\n"
        write_atomically(STORED, text.encode())


def in_process(name: str) -> dict:
    """The row of a network, made by another process; or how that `failed`."""
    words = [sys.executable, __file__, "--network", name]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        return {"failed": f"{done.returncode}: {(done.stderr.strip() or '-').splitlines()[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def row_of(name: str) -> dict:
    """Build, save, load and export a network.

    Returns:
        `size` in pixels, `parameters`, `bits` compared, how many `differ` in ONNX and SavedModel;
        `seconds` that the try before a training takes, and `gigabytes` of memory at the peak. Of a
        network that is refused before a training the line that says so, as `refused`.
    """
    from ssah_tf.cli.extras import import_tensorflow

    import_tensorflow()
    import numpy as np

    from ssah_tf import Encoder
    from ssah_tf.data.decode import RULE
    from ssah_tf.encoding.encoder import KEYS
    from ssah_tf.encoding.runtimes import FILES
    from ssah_tf.export.convertible import try_conversion
    from ssah_tf.export.graph import encoder_function
    from ssah_tf.export.made_up import made_up
    from ssah_tf.export.onnx_model import OPSETS, write_onnx
    from ssah_tf.export.saved_model import write_saved_model
    from ssah_tf.export.verify import compare, decided, rounding
    from ssah_tf.models import HNet
    from ssah_tf.models.backbones import KerasApplication
    from ssah_tf.models.saved import load_hnet
    from ssah_tf.system.text import first_line

    for size in SIZES:
        hnet = HNet(KerasApplication(name, weights="none"), BITS)
        began = time.monotonic()
        try:
            try_conversion(hnet.backbone, size)
            break
        except ValueError as error:
            refused = {"size": size, "refused": first_line(error)}
    else:
        return refused
    seconds = time.monotonic() - began
    hnet.build((None, size, size, 3))
    images = made_up(IMAGES, size)
    settle(hnet, images)
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        hnet.save(folder / "hnet.keras")
        del hnet
        loaded = load_hnet(folder / "hnet.keras")
        (folder / "hnet.keras").unlink()
        encode = encoder_function(loaded, size)
        about = dict.fromkeys(KEYS, "0") | {"bits": str(BITS), "image_size": str(size)}
        about |= {"decode_rule": str(RULE)}
        write_onnx(encode, folder / "encoder.onnx", OPSETS[-1], about)
        write_saved_model(encode, loaded, size, folder / FILES["tensorflow"], {})
        codes, logits = loaded.encode([images]), loaded.logits(images).numpy()
        margin = rounding(Encoder.load(folder).logits(images), logits)
        found = compare(folder, images, codes, decided(logits, margin=margin))
        assert Encoder.load(folder).encode(images[:1]).shape == (1, BITS // 8)
    return {
        "size": size,
        "parameters": loaded.backbone.count_params(),
        "codes": len(np.unique(codes, axis=0)),
        "bits": len(images) * BITS,
        "differ": {"ONNX": found["encoder.onnx"], "SavedModel": found[FILES["tensorflow"]]},
        "seconds": round(seconds),
        "gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
    }


def settle(hnet, images) -> None:
    """Let batch normalisation take the statistics of these images, so that features differ.

    Its scales are a quarter and nothing is dropped: with scales of 1 the features of a thousand
    layers with random weights hang on the last bit of the weights.
    """
    import keras

    norms = [x for x in hnet._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.gamma is not None:
            norm.gamma.assign(norm.gamma / 4)
    for layer in hnet._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    hnet(images, training=True)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def table(rows: dict[str, dict]) -> str:
    """The rows as Markdown."""
    lines = ["| network | px | parameters, millions | bits that differ | tried in |"]
    lines.append("|---|---|---|---|---|")
    for name, row in rows.items():
        if "refused" in row:
            lines.append(f"| {name} | {row['size']} | | refused: {row['refused']} | |")
            continue
        apart = " and ".join(f"{n} ({where})" for where, n in row["differ"].items() if n) or "0"
        lines.append(
            f"| {name} | {row['size']} | {row['parameters'] / 1e6:.1f} | {apart} | "
            f"{row['seconds']} s |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
