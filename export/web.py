"""The encoder in a browser: the files that a page needs beside `encoder.onnx`."""

from importlib import resources
from pathlib import Path

from ssah_tf.system.errors import SsahError

#: Files of ONNX Runtime Web that run an encoder, and the version that is tested.
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
VERSION = "1.30.0"
HOW_TO_GET = (
    f"`npm install onnxruntime-web@{VERSION}` brings the folder: --web-runtime "
    "node_modules/onnxruntime-web/dist"
)


def files_of_coding(runtime: Path) -> dict[str, bytes]:
    """What a page loads to code pictures itself: name -> content.

    The module is `web/encoder.mjs`; the runtime is below `runtime/`.

    Args:
        runtime: Folder with `RUNTIME`.

    Raises:
        SsahError: A file of it is missing, or cannot be read.
    """
    clients = resources.files("ssah_tf.export") / "clients"
    files = {"prepare.mjs": (clients / "prepare.mjs").read_bytes()}
    for file in (clients / "web").iterdir():
        if not file.name.startswith("index."):  # the page of its own
            files[f"web/{file.name}"] = file.read_bytes()
    for name in RUNTIME:
        try:
            files[f"runtime/{name}"] = (runtime / name).read_bytes()
        except OSError as error:
            raise SsahError(f"{runtime / name}: {error.strerror}; {HOW_TO_GET}") from None
    return files
