"""The model card: what an encoder was trained on, what it reached, how to call it."""

from ssah_tf.export.verify import INTEGERS
from ssah_tf.metrics.hamming import code_bytes

CARD = """# {name}: a binary hash encoder of {bits} bits

Made by ssah-tf {version}. Model id `{model_id}`: codes of another id must not be compared with its codes.

## Numbers

{numbers}
## How to call it

- `encoder.onnx`: input `images`, uint8 `(batch, {size}, {size}, 3)`, RGB; outputs `codes`, uint8 `(batch, {octets})`, bits in the order of
  `numpy.packbits`{padding}, and `logits`, float32 `(batch, {bits})`, whose signs are the bits (at least 0 is 1).
{saved_model}{appearance}{int8}- {proof}
- Images of other sizes are cropped to their central square and resized by the rule of `ssah_tf.data.decode`; `ssah_tf.Encoder` does that.
{asks}
## Data, licence, limits

- Trained on: {data}{classes}.
- Backbone `{backbone}`, {origin}
- {photos}
- {limits} On images unlike its training images, expect less than the number above.
"""


WITH_LABELS = """mAP@all, tie-aware: **{map:.4f}** (95 % interval over queries {low:.4f} to {high:.4f}){guessing}.

Protocol: {protocol}.

Chosen at epoch {epoch} by a validation mAP of {validation:.4f} ± {error:.4f}; the queries took no part in that.
"""
WITHOUT_LABELS = """{recall}.

This is the {definition}; {doubts}.

Protocol: {protocol}.
"""
#: What an encoder can be expected to tell apart.
LIMITS = {
    True: "It tells apart what its labels told apart.",
    False: "No label taught it: what looks alike to its backbone has codes that are near.",
}


INT8 = """- `{file}`: the same in 8-bit integers, model id `{model_id}`. {bits_changed:.2%} of the bits are others, mAP@all is {map:.4f} instead of
  {map_float:.4f} over {queries:,} queries and {database:,} images; calibrated on {calibration_images} training images. Codes of the two must not
  be mixed.
"""


APPEARANCE = """- `appearance`, a third output of `encoder.onnx` and of `logits`, uint8 `(batch, {octets})`, packed: the appearance code of {bits} bits, made of what the
  backbone sees, without labels. It orders images of one distance; `appearance_bytes` gives both codes of JPEG or PNG files.
"""


#: What the weights of the backbone were before they were trained; else the name of their file.
ORIGIN = {
    "none": "trained from scratch: the weights carry no licence of others, but perhaps that of the "
    "images.",
    "imagenet": "which began with ImageNet weights of its package: their licence goes with this "
    "encoder (Apache-2.0 for `efficientnet_lite0` to `efficientnet_lite2`). ImageNet's images are for non-commercial "
    "research; whether that holds for weights, too, is not settled.",
    "preset": "which began with the weights of that preset: their licence goes with this encoder. "
    "See the page of the preset.",
}
SAVED_MODEL = """- `saved_model/1`: signatures `serving_default` (the same images to codes), `serving_bytes` (JPEG or PNG files to codes), `logits`.
"""
NO_SAVED_MODEL = """- There is no SavedModel: {}.
"""
ASKS = """- The backbone's own preprocessing asks for {}. That is not done: the rule above stands for it.
"""
PROOF = (
    "{which} gave the codes of the trained encoder on {images:,} images ({kept:,} of them kept by the "
    "run after its photos were gone, {made_up:,} made up)."
)
PHOTOS = (
    "Photos: {travelling} images of the training set travel with this folder as pixels of {size} px "
    "(`reference.npz`, some of them also as warm-up requests); its run folder keeps {in_run} "
    "(`sample.npz`). Who gets either can look at them."
)
FILE = "which began with the weights of `{}`: their licence goes with this encoder."


def model_card(about: dict, report: dict) -> str:
    """The card as Markdown.

    Args:
        about: What the manifest says of the encoder.
        report: `metrics.json` of its run.
    """
    by_labels = report["retrieval"] is not None
    spare = -about["bits"] % 8
    return CARD.format(
        name=about["name"],
        bits=about["bits"],
        version=about["product_version"],
        model_id=about["model_id"],
        numbers=numbers_with_labels(report) if by_labels else numbers_without_labels(report),
        limits=LIMITS[by_labels],
        size=about["image_size"],
        octets=code_bytes(about["bits"]),
        padding=f", the last {spare} of them 0" if spare else "",
        data=report["protocol"].split(":")[0],
        classes=classes_in_words(report["classes"]),
        backbone=about["backbone"],
        origin=ORIGIN.get(about["weights"]) or FILE.format(about["weights"]),
        saved_model=NO_SAVED_MODEL.format(about["saved_model"])
        if "saved_model" in about
        else SAVED_MODEL,
        asks=ASKS.format("; ".join(about["preprocessing"])) if about["preprocessing"] else "",
        proof=PROOF.format(which="It" if "saved_model" in about else "Both", **about["verified"]),
        photos=PHOTOS.format(size=about["image_size"], **about["photos"]),
        appearance=APPEARANCE.format(
            bits=about["appearance_bits"], octets=code_bytes(about["appearance_bits"])
        )
        if about["appearance_bits"]
        else "",
        int8="".join(
            INT8.format(file=file, **about[key]) for key, file in INTEGERS.items() if key in about
        ),
    )


def numbers_with_labels(report: dict) -> str:
    """What labels say of the encoder, as Markdown."""
    found = report["retrieval"]
    return WITH_LABELS.format(
        map=found["map_tie_aware"],
        guessing=guessing(report),
        low=found["map_interval"][0],
        high=found["map_interval"][1],
        protocol=report["protocol"],
        epoch=report["selected_epoch"],
        validation=report["validation_map"],
        error=report["validation_error"],
    )


def numbers_without_labels(report: dict) -> str:
    """How codes agree with features, as Markdown."""
    found = report["neighbours"]
    return WITHOUT_LABELS.format(
        recall="; ".join(
            f"{found['near']} nearest in {k}: **{share:.4f}** (guessing {found['chance'][k]:.4f})"
            for k, share in found["recall"].items()
        ),
        definition=found["definition"],
        doubts="; ".join(report["doubts"]),
        protocol=report["protocol"],
    )


def classes_in_words(classes: list[str]) -> str:
    """How many classes there are, and the first of them by name; nothing of none."""
    names = [name.replace("\n", " ") for name in classes]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f". {len(names)} classes: {', '.join(names[:20])}{more}" if names else ""


def guessing(report: dict) -> str:
    """What random codes reach, how many classes query, and what the number does not say."""
    found = report["retrieval"]
    if "chance" not in found:  # numbers of an older version
        return ""
    return "; ".join(
        [
            f"; random codes reach {found['chance']['map_tie_aware']:.4f}",
            f"{found['query_classes']} of {len(report['classes'])} classes have queries",
            *(line.replace("\n", " ") for line in report["doubts"]),
        ]
    )
