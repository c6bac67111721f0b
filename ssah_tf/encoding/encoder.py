"""The encoder at run time: an exported ONNX file behind images in, packed codes out.

Needs the base install only; TensorFlow is not imported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ssah_tf.data.decode import RULE, decode
from ssah_tf.data.threads import in_batches
from ssah_tf.data.upright import Upright
from ssah_tf.encoding.runtimes import FILES, Run, open_runtime
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import in_parts
from ssah_tf.system.text import printable

#: An image in any of these forms: a file's path or its bytes, a Pillow image, an array.
Picture = str | Path | bytes | Image.Image | npt.NDArray[Any]

#: Metadata that an exported file carries.
KEYS = ("model_id", "bits", "image_size", "backbone", "recipe_hash", "product_version")

#: Metadata of a file that is for other runtimes alone: what its form is.
FORM = "form"


class Encoder:
    """Turns images into packed binary codes; safe to share between threads.

    Attributes:
        model_id: Names weights and preprocessing; codes of two ids must not be mixed.
        bits: Length of a code.
        appearance_bits: Length of the appearance code; 0 for an export that has none.
        image_size: Side in pixels to which images are cropped and resized.
        path: The ONNX file; of an encoder in integers for LiteRT, its own.
        runtime: The program that runs it, or the same encoder in a form of its own.
    """

    def __init__(self, about: Mapping[str, str], path: Path, runtime: str, run: Run):
        missing = [key for key in KEYS if key not in about]
        if missing:
            raise SsahError(f"{path}: not an encoder of ssah-tf ({', '.join(missing)} missing)")
        if FORM in about:
            raise SsahError(
                f"{path}: written for other runtimes ({printable(about[FORM])}); load the "
                "encoder.onnx beside it"
            )
        rule = about.get("decode_rule", "1")
        if rule != str(RULE):
            raise SsahError(
                f"{path}: its codes are of photos decoded by rule {printable(rule)}, this version "
                f"decodes by rule {RULE}: run `ssah export RUN` again, and `ssah migrate INDEX "
                "EXPORT` for each index that was made with it"
            )
        self.run = run
        self.runtime = runtime
        self.path = path
        self.model_id = about["model_id"]
        self.bits = int(about["bits"])
        self.appearance_bits = int(about.get("appearance_bits", "0"))
        self.image_size = int(about["image_size"])

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        runtime: str | None = None,
        threads: int = 0,
        providers: Sequence[str] | None = None,
    ) -> "Encoder":
        """Load an encoder.

        Args:
            path: The folder that `ssah export` wrote, or one of its encoders there.
            runtime: `onnxruntime`, `openvino`, `litert` or `tensorflow`. The codes are the same.
                The last two run files of their own, beside the ONNX file. By default ONNX Runtime,
                and LiteRT for a file of its own.
            threads: Threads of the runtime for one call, 0 for one a core. With 1, calls of several
                threads run side by side. Those of ONNX Runtime do not spin while they wait, so that
                other work on the machine is not held up.
            providers: Execution providers of ONNX Runtime in order of preference; by default those
                that are installed, CPU last.

        Raises:
            SsahError: No such file, not an encoder, or no such runtime.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "encoder.onnx"
        if path.suffix == ".tflite":
            runtime = runtime or "litert"
        if path.name == FILES["litert"]:  # the encoder of the ONNX file, in another form
            path = path.with_name("encoder.onnx")
        runtime = runtime or "onnxruntime"
        if not path.is_file():
            raise SsahError(f"{path}: no such file; make one with `ssah export RUN`")
        about, run = open_runtime(runtime, path, threads, providers)
        return cls(about, path, runtime, run)

    def encode(self, images: Picture | Iterable[Picture], batch: int = 64) -> npt.NDArray[np.uint8]:
        """Packed codes of images, in order.

        Args:
            images: One image or many: paths, bytes of files, Pillow images, or uint8 arrays
                `(height, width, 3)`; or one uint8 array `(n, height, width, 3)`. Only paths and
                bytes go through the whole rule of training: Pillow images and arrays have been
                decoded at full size, which for large JPEG files can change a bit.
            batch: Images that are decoded together and then run at once, large ones in parts.

        Returns:
            uint8 `(n, ceil(bits / 8))` in the order of `numpy.packbits`, the tail padded with
            zeros; `(0, ...)` for no image.

        Raises:
            ImageError: An image cannot be read.
            SsahError: An array of another form.
        """
        return self._run(("codes",), images, batch)

    def full_codes(
        self, images: Picture | Iterable[Picture], batch: int = 64
    ) -> npt.NDArray[np.uint8]:
        """Packed codes, each with the packed appearance code behind it, if there is one.

        By the appearance code a search orders photos of one distance. See `encode`.

        Returns:
            uint8 `(n, ceil(bits / 8) + ceil(appearance_bits / 8))`.
        """
        return self._run(("codes", "appearance")[: 1 + bool(self.appearance_bits)], images, batch)

    def logits(
        self, images: Picture | Iterable[Picture], batch: int = 64
    ) -> npt.NDArray[np.float32]:
        """Logits of images, float32 `(n, bits)`: their signs are the code. See `encode`."""
        return self._run(("logits",), images, batch)

    def _run(
        self, outputs: tuple[str, ...], images: Picture | Iterable[Picture], batch: int
    ) -> npt.NDArray[Any]:
        """Outputs of the network side by side."""
        found = [
            np.concatenate(self.run(outputs, part), axis=1)
            for together in self._batches(images, batch)
            for part in in_parts(together)
        ]
        if found:
            return np.concatenate(found)
        if outputs == ("logits",):
            return np.zeros((0, self.bits), np.float32)
        widths = {"codes": code_bytes(self.bits), "appearance": code_bytes(self.appearance_bits)}
        return np.zeros((0, sum(widths[name] for name in outputs)), np.uint8)

    def _batches(
        self, images: Picture | Iterable[Picture], batch: int
    ) -> Iterator[npt.NDArray[np.uint8]]:
        if isinstance(images, np.ndarray) and images.ndim == 4:
            size = self.image_size
            if images.dtype == np.uint8 and images.shape[1:] == (size, size, 3):
                yield from (images[i : i + batch] for i in range(0, len(images), batch))
                return
        elif isinstance(images, str | Path | bytes | Image.Image | np.ndarray):
            images = [images]
        for pixels in in_batches(self._one, images, batch):
            yield np.stack(pixels)

    def _one(self, image: Picture) -> npt.NDArray[np.uint8]:
        if isinstance(image, str | Path | bytes):
            return decode(image, self.image_size)
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise SsahError(
                    "an image array must be uint8 (height, width, 3), RGB. "
                    f"Received: {image.dtype} {image.shape}"
                )
            image = Image.fromarray(image)
        return Upright(image).square(self.image_size)
