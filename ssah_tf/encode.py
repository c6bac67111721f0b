"""Codes of whole folders: streamed in shards, so that a killed run goes on where it was."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssah_tf.data.files import image_files
from ssah_tf.data.image_set import in_batches
from ssah_tf.data.images import decode
from ssah_tf.encoder import Encoder
from ssah_tf.errors import ImageError, SsahError
from ssah_tf.files import atomic_path, write_atomically
from ssah_tf.lock import only_one
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.reading import read_arrays

#: Images a shard: what a kill costs at most, and what is held in memory at a time.
SHARD = 1024
BATCH = 64


@dataclass(frozen=True)
class Encoded:
    """What was written.

    Attributes:
        images: Images with a code.
        bad: Files that cannot be read -> the reason.
    """

    images: int
    bad: dict[str, str]


def find_images(sources: Iterable[str | Path]) -> list[str]:
    """Paths of files as given, and of all image files below folders, in order, each once.

    Raises:
        SsahError: A source does not exist, or there is no image at all.
    """
    found: dict[str, None] = {}
    for source in map(str, sources):
        if os.path.isdir(source):
            found |= dict.fromkeys(os.path.join(source, name) for name in image_files(Path(source)))
        elif os.path.exists(source):
            found[source] = None
        else:
            raise SsahError(f"{source}: no such file or folder")
    if not found:
        raise SsahError("no image files found")
    return list(found)


def encode_files(
    encoder: Encoder,
    paths: list[str],
    output: Path,
    progress: Callable[[int], None] = lambda done: None,
) -> Encoded:
    """Write the codes of image files to `output`, beside the model id and the paths.

    - `.npy`: uint8 `(n, ceil(bits / 8))`, and `<output>.json` with `model_id`, `bits`, `paths`.
    - `.parquet`: columns `path` and `code` (binary); `model_id` and `bits` in its metadata.

    Shards of codes are kept in `<output>.parts` until all are there. A call with the same encoder
    and paths goes on from them: nothing is lost and nothing comes twice.

    Args:
        encoder: Any encoder.
        paths: See `find_images`.
        output: Where to.
        progress: Is told the number of paths that are done, after each shard.

    Raises:
        SsahError: An unknown ending, or the shards are of other images or another encoder.
    """
    if output.suffix not in (".npy", ".parquet"):
        raise SsahError(f"{output}: the output ends in .npy or .parquet")
    if output.suffix == ".parquet":
        import_pyarrow()
    parts = output.with_name(output.name + ".parts")
    with only_one(output.with_name(f".{output.name}.lock"), output):
        keep_plan(parts, encoder, paths)
        codes, kept, bad = [], [], {}
        for start in range(0, len(paths), SHARD):
            shard = paths[start : start + SHARD]
            path = parts / f"{start // SHARD:06d}.npz"
            found = read_shard(path, len(shard)) or encode_shard(encoder, shard, path)
            codes.append(found[0])
            kept += [name for name, reason in zip(shard, found[1], strict=True) if not reason]
            bad |= {name: reason for name, reason in zip(shard, found[1], strict=True) if reason}
            progress(start + len(shard))
        write_codes(output, encoder, kept, np.concatenate(codes))
        shutil.rmtree(parts)
    return Encoded(len(kept), bad)


def keep_plan(parts: Path, encoder: Encoder, paths: list[str]) -> None:
    """Make the folder of shards, or see that it belongs to this work."""
    listing = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    plan = {"model_id": encoder.model_id, "paths": listing, "shard": SHARD}
    file = parts / "plan.json"
    if not file.is_file():
        shutil.rmtree(parts, ignore_errors=True)
        try:
            parts.mkdir(parents=True)
        except OSError as error:
            raise SsahError(f"{parts}: cannot be made ({error.strerror})") from None
        write_atomically(file, json.dumps(plan).encode())
    elif file.read_bytes() != json.dumps(plan).encode():
        raise SsahError(
            f"{parts} holds unfinished work on other images or by another encoder: "
            "finish that, remove the folder, or name another --output"
        )


def encode_shard(encoder: Encoder, paths: list[str], output: Path) -> tuple[np.ndarray, list[str]]:
    """Find codes and reasons as `encode_readable` does, and keep them in a file."""
    codes, reasons = encode_readable(encoder, paths)
    with atomic_path(output) as path:
        np.savez(path, codes=codes, reasons=np.array(reasons, dtype=str))
    return codes, reasons


def read_shard(path: Path, images: int) -> tuple[np.ndarray, list[str]] | None:
    """What `encode_shard` kept, or `None`: not there, or damaged and to be encoded again."""
    try:
        arrays = read_arrays(path)
        codes, reasons = arrays["codes"], arrays["reasons"].tolist()
    except (OSError, ValueError, KeyError):
        return None
    fits = len(reasons) == images and len(codes) == reasons.count("")
    return (codes, reasons) if fits else None


def encode_readable(encoder: Encoder, paths: list[str]) -> tuple[np.ndarray, list[str]]:
    """Codes of the files that can be read, and for each path "" or why it cannot."""

    def one(path: str):
        try:
            return decode(path, encoder.image_size), ""
        except ImageError as error:
            return None, str(error)

    codes, reasons = [], []
    for found in in_batches(one, paths, BATCH):
        reasons += [reason for _, reason in found]
        good = [pixels for pixels, _ in found if pixels is not None]
        if good:
            codes.append(encoder.encode(np.stack(good)))
    empty = np.zeros((0, code_bytes(encoder.bits)), np.uint8)
    return np.concatenate([empty, *codes]), reasons


def write_codes(output: Path, encoder: Encoder, paths: list[str], codes: np.ndarray) -> None:
    """Write codes in the form that the ending of `output` asks for. See `encode_files`."""
    about = {"model_id": encoder.model_id, "bits": encoder.bits}
    if output.suffix == ".npy":
        text = json.dumps({**about, "paths": paths})
        output.unlink(missing_ok=True)  # older codes must never stand beside newer paths
        write_atomically(output.with_name(output.name + ".json"), text.encode())
        with atomic_path(output) as path:
            np.save(path, codes)
        return
    pyarrow = import_pyarrow()
    names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in paths]
    code = pyarrow.array([row.tobytes() for row in codes], pyarrow.binary())
    table = pyarrow.table({"path": names, "code": code})
    table = table.replace_schema_metadata({key: str(value) for key, value in about.items()})
    with atomic_path(output) as path:
        pyarrow.parquet.write_table(table, path)


def import_pyarrow():
    """PyArrow, or one line that says how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SsahError("Parquet needs pyarrow: pip install 'ssah-tf[parquet]'") from None
    return pyarrow
