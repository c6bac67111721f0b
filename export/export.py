"""`ssah export`: from a run to deployable encoders, proven equal to the trained one."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet
from ssah_tf.data.pipeline import fitting
from ssah_tf.data.sampling import evenly
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.hash_layer import NAME as HASH_LAYER
from ssah_tf.encoding.runtimes import FILES
from ssah_tf.export.card import model_card
from ssah_tf.export.graph import encoder_function
from ssah_tf.export.hash_layer import arrays_of, with_hash_layer
from ssah_tf.export.identity import DECODE_RULE, model_id
from ssah_tf.export.int8 import Trial, write_int8
from ssah_tf.export.litert import write_litert
from ssah_tf.export.made_up import made_up
from ssah_tf.export.manifest import write_manifest
from ssah_tf.export.onnx_codes import FIXED_BATCH, LOGITS
from ssah_tf.export.onnx_model import save_encoder, write_onnx
from ssah_tf.export.saved_model import write_saved_model
from ssah_tf.export.variants import write_fixed_batch, write_logits
from ssah_tf.export.verify import INTEGERS, REFERENCE, compare, decided, rounding
from ssah_tf.export.warmup import write_warmup
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet
from ssah_tf.models.backbones import OnnxBackbone, first_weights
from ssah_tf.models.backbones.onnx_file import self_contained
from ssah_tf.models.hnet import packed
from ssah_tf.system.errors import RunError
from ssah_tf.system.lock import only_one
from ssah_tf.system.onnx_session import EXACT_INTEGERS
from ssah_tf.training.run import Run
from ssah_tf.training.sample import Pictures
from ssah_tf.version import __version__

#: Images on which an export is compared with the trained encoder, at most, and their pixels in all.
SAMPLE = 10_000
PIXELS = 50_000_000
#: Why there is no SavedModel of an encoder whose backbone is an ONNX file.
NO_SAVED_MODEL = "the backbone is an ONNX file, which TensorFlow cannot run"
#: Images that travel with an export.
TRAVELLING = 64
BATCH = 256


def export(
    run: Run,
    images: ImageSet | None,
    folder: Path,
    opset: int = 18,
    *,
    int8: bool = False,
    max_drop: float = 0.01,
    force: bool = False,
    logits: bool = False,
    batch: int | None = None,
    litert: bool = False,
) -> dict:
    """Export the encoder of a run; the folder is replaced as a whole, or stays as it was.

    Args:
        run: An evaluated run.
        images: Its images that are there, on which the artefacts are compared with the trained
            encoder; beside them, those that the run keeps.
        folder: Where to.
        opset: ONNX opset, 13 to 18.
        int8: Whether to write an encoder in 8-bit integers, too; with `litert` one for LiteRT.
        max_drop: Largest fall in mAP@all for which it is written.
        force: Write it whatever the fall.
        logits: Whether to write a file of floats in and logits out, too, and such a signature.
        batch: Write a file for just so many images at once, too.
        litert: Whether to write a file for LiteRT, too.

    Returns:
        The manifest, and under `verified` what was compared. See `compare`.

    Raises:
        RunError: The run has no encoder or no numbers, or the folder holds something else.
        SsahError: Codes of an artefact differ, or mAP of the integer encoder falls too far; then
            nothing is replaced.
    """
    wanted = Wanted(opset, int8, max_drop, force, logits, batch, litert)
    with only_one(folder.with_name(f".{folder.name}.lock"), folder):
        return make(run, images, folder, wanted)


@dataclass(frozen=True)
class Wanted:
    """What is to be written. See `export`."""

    opset: int
    int8: bool
    max_drop: float
    force: bool
    logits: bool
    batch: int | None
    litert: bool


def make(run: Run, images: ImageSet | None, folder: Path, wanted: Wanted) -> dict:
    """Make the new export beside the folder, then swap them. See `export`."""
    recipe, report = run.recipe, run.metrics()
    recover(folder)
    if wanted.int8 and report["retrieval"] is None:
        raise RunError(
            f"{run.folder}: --int8 is accepted by its mAP, which no photo has a label for: export "
            "without it"
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / "encoder.json").is_file():
        raise RunError(f"{folder} holds something that is no export: name another --output")
    hnet = run.encoder()
    if wanted.litert and in_onnx(hnet):
        raise RunError(f"--litert: {NO_SAVED_MODEL}, nor LiteRT; leave it out")
    size = recipe.data.image_size
    about: dict[str, Any] = {
        "name": recipe.name,
        "model_id": model_id(hnet, size),
        "decode_rule": DECODE_RULE,
        "bits": hnet.bits,
        "appearance_bits": hnet.appearance_bits,
        "image_size": size,
        "backbone": named(recipe.model.backbone),
        "weights": Path(first_weights(recipe.model.backbone, recipe.model.options)).name,
        "recipe_hash": hashlib.sha256(run.recipe_path.read_bytes()).hexdigest()[:16],
        "product_version": __version__,
        "opset": opset_of(hnet, wanted.opset),
    }
    making = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(making, ignore_errors=True)  # of an export that was killed
        making.mkdir(parents=True)
        encode = encoder_function(hnet, size)
        metadata = {key: str(about[key]) for key in about}
        if in_onnx(hnet):
            save_encoder(with_hash_layer(hnet, size), making / "encoder.onnx", metadata)
            about["saved_model"] = NO_SAVED_MODEL
        else:
            write_onnx(encode, making / "encoder.onnx", wanted.opset, metadata)
            (making / "saved_model").mkdir()
            write_saved_model(
                encode,
                hnet,
                size,
                making / FILES["tensorflow"],
                {key: about[key] for key in ("model_id", "bits", "image_size")},
                floats=wanted.logits,
            )
        write_variants(encode, making, wanted)
        about["preprocessing"] = asked(hnet, size)
        pictures = Pictures(run, images)
        pixels, sources = compared_on(run, pictures)
        logits = logits_of(hnet, pixels)
        expected = packed(logits)
        some = slice(TRAVELLING)
        margin = rounding(Encoder.load(making).logits(pixels[some]), logits[0][some])
        found = compare(making, pixels, expected, decided(*logits, margin=margin))
        if recipe.train.cached_features:
            replace(arrays_of(hnet, size), margin=margin).write(making / HASH_LAYER)
        if not in_onnx(hnet):
            write_warmup(making / "saved_model" / "1", pixels, bool(hnet.appearance_bits))
        if wanted.int8:
            about |= write_integers(encode, making, Trial.of(run, pictures, hnet.bits), wanted)
        bits = sum(part.size for part in logits)
        about["verified"] = {"artefacts": found, "bits": bits, **sources}
        about["photos"] = {
            "travelling": 0 if sources["made_up"] else min(TRAVELLING, len(pixels)),
            "in_run": len(pictures.sample),
        }
        with open(making / REFERENCE, "wb") as stream:
            width = code_bytes(hnet.bits)
            arrays: dict[str, Any] = {"codes": expected[some, :width], "logits": logits[0][some]}
            if hnet.appearance_bits:
                arrays |= {"appearance": expected[some, width:]}
                arrays |= {"appearance_logits": logits[1][some]}
            np.savez_compressed(stream, images=pixels[some], margin=margin, **arrays)
        (making / "MODEL_CARD.md").write_text(model_card(about, report), encoding="utf-8")
        said = ("protocol", "classes", "retrieval", "neighbours")
        card = {**about, **{key: report[key] for key in said if key in report}}
        (making / "model_card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        write_manifest(making, about)
        swap(making, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return about


def write_variants(
    encode: tf.types.experimental.PolymorphicFunction, making: Path, wanted: Wanted
) -> None:
    """Write the files for other runtimes, as far as they are asked for."""
    source = making / "encoder.onnx"
    if wanted.logits:
        write_logits(source, making / LOGITS)
    if wanted.litert:
        write_litert(encode, making / FILES["litert"])
    if wanted.batch:
        write_fixed_batch(source, making / FIXED_BATCH.format(wanted.batch), wanted.batch)


def write_integers(
    encode: tf.types.experimental.PolymorphicFunction, making: Path, trial: Trial, wanted: Wanted
) -> dict[str, dict]:
    """Write the encoders in integers, and measure what they cost.

    Returns:
        A key of `INTEGERS` -> what the manifest says of that file. See `Trial.measure`; and of the
        ONNX file what ONNX Runtime must be told, `session`.

    Raises:
        SsahError: mAP falls too far, or LiteRT cannot run it.
    """
    files = {key: making / name for key, name in INTEGERS.items()}
    write_int8(making / "encoder.onnx", files["int8"], trial.calibration)
    if wanted.litert:
        write_litert(encode, files["int8_litert"], trial.calibration)
    found = {
        key: trial.measure(Encoder.load(file), wanted.max_drop, wanted.force)
        for key, file in files.items()
        if file.exists()
    }
    found["int8"]["session"] = dict([EXACT_INTEGERS])
    return found


def in_onnx(hnet: HNet) -> bool:
    """Whether the backbone of an encoder is an ONNX file, which TensorFlow cannot run."""
    return isinstance(hnet.backbone, OnnxBackbone)


def opset_of(hnet: HNet, opset: int) -> int:
    """The opset that is asked for; a backbone in ONNX keeps its own."""
    if not in_onnx(hnet):
        return opset
    versions = self_contained(hnet.backbone.graph).opset_import
    return next(entry.version for entry in versions if entry.domain in ("", "ai.onnx"))


def named(backbone: str) -> str:
    """The backbone of a recipe, without the folder that its file lies in."""
    kind, colon, file = backbone.partition(":")
    return f"{kind}{colon}{Path(file).name}"


def asked(hnet: HNet, size: int) -> list[str]:
    """What the backbone's own preprocessing asks for and does not get, one phrase each."""
    backbone = hnet.backbone
    other = backbone.made_for not in (None, size)
    return [*backbone.asks, *([f"images of {backbone.made_for} px"] if other else [])]


def compared_on(run: Run, pictures: Pictures) -> tuple[np.ndarray, dict[str, int]]:
    """Images on which an export is compared; the first of them travel with it.

    Those of a run that is to keep no pixels do not travel; made-up ones do.

    Returns:
        uint8 `(n, size, size, 3)`; and how many `images` that are, with those that the run has
        `kept`, and those that are `made_up`.
    """
    whole, size = run.whole_split, run.recipe.data.image_size
    most = min(SAMPLE, max(TRAVELLING, PIXELS // size**2))
    there = [name for name in whole.query + whole.database if name in pictures.place]
    ids = [there[i] for i in evenly(np.arange(len(there)), most)]
    kept = list(pictures.kept)[: most - len(ids)]
    pixels = pictures.read(ids + kept)
    made = TRAVELLING if not run.recipe.data.keep_sample or not len(pixels) else 0
    if made:
        pixels = np.concatenate([made_up(made, size), pixels])
    return pixels, {"images": len(pixels), "kept": len(kept), "made_up": made}


def logits_of(hnet: HNet, pixels: np.ndarray) -> list[np.ndarray]:
    """Logits of the code and, if there is one, of the appearance code; float32 `(n, bits)` each."""
    call = tf.function(hnet.all_logits, reduce_retracing=True)
    parts = [[part.numpy() for part in call(batch)] for batch in batches_of(pixels)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def batches_of(pixels: np.ndarray) -> list[np.ndarray]:
    """The images in batches."""
    batch = fitting(BATCH, pixels.shape[1])
    return [pixels[i : i + batch] for i in range(0, len(pixels), batch)]


def swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; the old one goes last."""
    old = old_of(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put back an export that a kill in the middle of `swap` left aside."""
    if not folder.exists() and old_of(folder).exists():
        old_of(folder).rename(folder)


def old_of(folder: Path) -> Path:
    """Where an export waits until the new one is in its place."""
    return folder.with_name(f".{folder.name}.old")
