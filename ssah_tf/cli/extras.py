"""Which parts of the product are installed, and TensorFlow without its chatter."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from ssah_tf.system.errors import SsahError

#: One module of each package of an extra, by which its presence is known.
EXTRAS = {
    "train": (
        "tensorflow",
        "keras",
        "matplotlib",
        "tensorboard",
        "pydantic",
        "yaml",
        "jinja2",
        "tensorflow_serving",
    ),
    "search": ("faiss", "pyarrow", "watchdog"),
    "label": ("sklearn",),
    "litert": ("ai_edge_litert",),
    "serve": ("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
}


def need(extra: str, command: str) -> None:
    """Refuse a command whose extra is not installed.

    Raises:
        SsahError: A module of the extra is missing.
    """
    if line := lacks(extra, command):
        raise SsahError(line)


def lacks(extra: str, what: str) -> str:
    """What something needs that is not installed, and how to install it; "" if all is there."""
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    return f"{what} needs {missing[0]}: pip install 'ssah-tf[{extra}]'" if missing else ""


def renamed(old: str, new: str) -> Any:
    """The former name of an option: hidden, and refused with a line that says the new one.

    For a parameter of a command: `likeness: Annotated[str, renamed("--likeness", "--ssim")] = ""`.
    """

    def refuse(value: str) -> None:
        if value:
            raise SsahError(f"{old} is now called {new}")

    return typer.Option(old, hidden=True, callback=refuse, help=f"Use {new} instead.")


def import_tensorflow() -> None:
    """Import TensorFlow without its start-up chatter, which is no news to a user.

    TensorFlow 2.21 writes some lines before its log level counts, so stderr is held back while it
    is imported, and shown if that fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def quietly(runtime: str | None) -> str | None:
    """A runtime as it was given; TensorFlow is imported, since it would chatter later."""
    if runtime == "tensorflow" and importlib.util.find_spec("tensorflow") is not None:
        import_tensorflow()
    return runtime


#: What runs an encoder.
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=quietly,
        help="Use onnxruntime, openvino, litert or tensorflow, which give the same codes.",
    ),
]

#: Where a runtime finds what an index has no copy of.
Export = Annotated[
    Path | None,
    typer.Option(
        "--encoder",
        metavar="EXPORT",
        show_default=False,
        help="Take the encoder from this export, which has files for every runtime, and not the "
        "index's copy.",
    ),
]
