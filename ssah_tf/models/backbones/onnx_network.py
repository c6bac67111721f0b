"""An ONNX file of others, tried out: which input, which output, which preprocessing."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssah_tf.models.backbones.onnx_file import read_onnx_file
from ssah_tf.models.backbones.onnx_graph import (
    FEATURES,
    IMAGES,
    PREFIX,
    fixed_side,
    image_input,
    layout_of,
    normal_form,
    outputs_from,
    with_features,
)
from ssah_tf.models.backbones.preprocessing import Preprocessing, read_preprocessing
from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import open_session
from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: The processor: its results do not depend on what else is installed.
PROVIDERS = ("CPUExecutionProvider",)
#: Of several outputs of one rank the first of these is taken: names of Hugging Face's exports.
FAVOURED = ("image_embeds", "pooler_output", "last_hidden_state")
LAYOUTS = ("auto", "nchw", "nhwc")
POOLS = ("auto", "class", "mean")
#: Side in pixels at which a network is tried out whose own is not known.
USUAL_SIDE = 224
#: Images that a network is tried out on, and how far features of one may be from those in a batch.
TRIED, TOLERANCE = 3, 1e-3


@dataclass(frozen=True)
class OnnxNetwork:
    """What there is to know of an ONNX file.

    Attributes:
        graph: The network in its normal form, see `onnx_graph`, as the content of a file.
        features: Number of features.
        side: Side in pixels of the only images that it takes, `None` if it takes any.
        output: The value of the file that the features are made of.
        preprocessing: How it wants its pixels.
        sha256: Of the file, and of the files of weights beside it.
    """

    graph: bytes
    features: int
    side: int | None
    output: str
    preprocessing: Preprocessing
    sha256: str

    def options(self) -> dict[str, Any]:
        """What was found, as arguments of `read_network`: with them a recipe names this file."""
        how = self.preprocessing
        return {
            "rescale_factor": how.rescale_factor,
            "image_mean": list(how.image_mean),
            "image_std": list(how.image_std),
            "channel_order": how.channel_order,
            "output": self.output,
            "sha256": self.sha256,
        }


def read_network(
    file: str | Path = "",
    rescale_factor: float | None = None,
    image_mean: list[float] | float | None = None,
    image_std: list[float] | float | None = None,
    channel_order: str | None = None,
    layout: str = "auto",
    output: str = "",
    pool: str = "auto",
    sha256: str = "",
) -> OnnxNetwork:
    """Read an ONNX file and try it out.

    Of its outputs that depend on the images alone, the one of the smallest rank is taken; of
    several the one that is called as in `FAVOURED`. A vector is taken as it is, of tokens the
    first one, which is the class token, of a map of features the mean over its places.

    Args:
        file: The file. `preprocessor_config.json` beside it says how it wants its pixels.
        rescale_factor: What pixels of 0 to 255 are multiplied by.
        image_mean: Then subtracted, for each channel or for all.
        image_std: Then divided by.
        channel_order: "rgb" or "bgr".
        layout: Of its input: "nchw", "nhwc", or "auto" to look.
        output: Name of the value to take, which can lie within the graph.
        pool: "class" or "mean" of tokens; "auto" is "class".
        sha256: What the digest of the file must be, if it is known.

    Raises:
        SsahError: The file cannot be used. One line that says why.
    """
    if not file:
        raise SsahError("model.backbone: name the file, onnx:FILE")
    path = Path(file)
    for name, value, known in (("layout", layout, LAYOUTS), ("pool", pool, POOLS)):
        if value not in known:
            raise SsahError(
                f"model.options.{name} must be one of {', '.join(known)}. Received: {value!r}"
            )
    model, digest = read_onnx_file(path)
    if sha256 and digest != sha256:
        raise SsahError(
            f"{path}: not the file that this run began with, its SHA-256 is {digest[:12]}... "
            f"instead of {sha256[:12]}...: put that one back, or train anew"
        )
    options = {
        "rescale_factor": rescale_factor,
        "image_mean": image_mean,
        "image_std": image_std,
        "channel_order": channel_order,
    }
    how = read_preprocessing(path.parent, options)
    try:
        source = image_input(model)
        layout = layout_of(source, layout)
        side = fixed_side(source, layout)
        names = outputs_from(model, source.name, output)
        trial = normal_form(model, source.name, names, layout, how)
        images = random_images(side or how.size or USUAL_SIDE)
        session = open_session(trial.SerializeToString(), providers=PROVIDERS)
        found = run(session, [PREFIX + name for name in names], images[:1])
        chosen, rank = best_output(dict(zip(names, found, strict=True)))
        whole = normal_form(model, source.name, [chosen], layout, how)
        with_features(whole, PREFIX + chosen, rank, "class" if pool == "auto" else pool, layout)
        graph = whole.SerializeToString(deterministic=True)
        features = try_out(open_session(graph, providers=PROVIDERS), images)
    except ValueError as error:
        raise SsahError(f"{path}: {first_line(error)}") from None
    return OnnxNetwork(graph, features, side, chosen, how, digest)


def random_images(side: int) -> np.ndarray:
    """Noise, uint8 `(TRIED, side, side, 3)`, always the same."""
    return np.random.default_rng(0).integers(0, 256, (TRIED, side, side, 3)).astype(np.uint8)


def run(session: "InferenceSession", outputs: list[str], images: np.ndarray) -> list[np.ndarray]:
    """Some outputs of a normal form.

    Raises:
        ValueError: The network does not take the images.
    """
    try:
        return session.run(outputs, {IMAGES: images})
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        side = images.shape[1]
        raise ValueError(f"cannot be run on images of {side} px ({first_line(error)})") from None


def best_output(found: dict[str, np.ndarray]) -> tuple[str, int]:
    """Which output is the feature vector, and its rank.

    Args:
        found: Outputs for one image by name.

    Raises:
        ValueError: None, or there are several and nothing to choose by.
    """
    ranks = {
        name: array.ndim
        for name, array in found.items()
        if array.ndim in (2, 3, 4) and len(array) == 1 and array.dtype.kind == "f"
    }
    shapes = ", ".join(f"{name} {found[name].dtype}{found[name].shape}" for name in found)
    if not ranks:
        raise ValueError(
            f"no output is a feature vector of each image: {shapes}; name another value with "
            "model.options.output"
        )
    least = [name for name, rank in ranks.items() if rank == min(ranks.values())]
    favoured = [name for name in FAVOURED if name in least]
    if len(least) > 1 and not favoured:
        raise ValueError(
            f"several outputs could be taken: {shapes}; name one with model.options.output"
        )
    name = (favoured or least)[0]
    return name, ranks[name]


def try_out(session: "InferenceSession", images: np.ndarray) -> int:
    """Number of features of a normal form, once those of several images are what each has alone.

    Raises:
        ValueError: They are not; or the features are no numbers, or the same for all images.
    """
    alone = [run(session, [FEATURES], images[i : i + 1])[0] for i in range(len(images))]
    each = np.concatenate(alone)
    if not np.isfinite(each).all():
        raise ValueError("its features of noise are infinite or no numbers")
    if each.shape[1] < 2 or np.ptp(each, axis=0).max() == 0:
        raise ValueError(f"its {each.shape[1]} features are the same for all images")
    try:
        together = run(session, [FEATURES], images)[0]
        same = together.shape == each.shape
    except ValueError:
        same = False
    if not same or np.abs(together - each).max() > TOLERANCE * np.abs(each).max():
        raise ValueError(
            f"{len(images)} images at once do not give what each gives alone: export it with a "
            "free batch dimension, in inference mode"
        )
    return each.shape[1]
