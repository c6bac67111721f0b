"""Codes of whole folders, by threads or by a cluster; a killed run goes on where it was."""

import json
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from ssah_tf.data.files import image_files
from ssah_tf.encoding import shards
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.record_file import import_pyarrow, parquet_schema
from ssah_tf.encoding.records import Records, flat_pictures
from ssah_tf.encoding.shards import SUMMARY, Shards, encode_shard
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.lock import only_one

#: Encodes numbered shards, in any order: `(encoder, (number, paths)...)` -> `(number, records)...`
Engine = Callable[
    [Encoder, Iterable[tuple[int, list[str]]]], Generator[tuple[int, Records], None, None]
]

#: List of the bad files in a folder of shards.
BAD = "_bad.jsonl"
#: Shards that make a row group of the one Parquet file.
GROUP = 64


@dataclass(frozen=True)
class Encoded:
    """What was written.

    Attributes:
        images: Images with a code.
        bad: Files that cannot be read -> the reason.
        listed: Where the bad ones are listed; `None` if there are none.
        flat: Pictures of one level. See `flat_pictures`.
    """

    images: int
    bad: dict[str, str]
    listed: Path | None = None
    flat: tuple[str, ...] = ()


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


def on_threads(
    encoder: Encoder, work: Iterable[tuple[int, list[str]]]
) -> Generator[tuple[int, Records], None, None]:
    """The `Engine` of one machine: decoder threads beside those of ONNX Runtime."""
    for number, paths in work:
        yield number, encode_shard(encoder, paths)


def choose_engine(name: str, address: str | None = None, cpus: int = 0) -> Engine:
    """An engine by its name: "threads" or "ray".

    Args:
        name: The name.
        address: Of a running Ray cluster; one is begun on this machine by default.
        cpus: Of a task of Ray; 0 for 1.

    Raises:
        SsahError: No such engine, or an address that it has no use for.
    """
    if name == "ray":
        from ssah_tf.encoding.ray_engine import on_ray

        return partial(on_ray, address=address, cpus=cpus or 1)
    if name != "threads":
        raise SsahError(f"engine {name!r}: choose from threads, ray")
    if address is not None:
        raise SsahError("--address is that of a Ray cluster: add --engine ray")
    return on_threads


def encode_files(
    encoder: Encoder,
    paths: list[str],
    output: Path,
    progress: Callable[[int], None] = lambda done: None,
    engine: Engine = on_threads,
    size: int | None = None,
) -> Encoded:
    """Write the codes of image files to `output`, with the model id and the paths.

    - `.npy`: uint8 `(n, ceil(bits / 8))`, and `<output>.json` with `model_id`, `bits`, `paths`.
    - `.parquet`: columns `path`, `code` (binary), of the file `digest` (SHA-256), `size` and
      `mtime_ns`, and `perceptual_hash`; `model_id` and `bits` in its metadata.
    - a folder, for what does not fit into one file: shards of that form, `000000.parquet`, ... (or
      `.npz` where PyArrow is not installed), `_encoded.json` with the numbers at the end.

    Files without a code are listed with the reason in `<output>.bad.jsonl`, or in `_bad.jsonl` of
    the folder. Shards are kept (in `<output>.parts`, if the output is a file) until all are there.
    A call with the same encoder and paths goes on from them: nothing is lost and nothing comes
    twice, whatever the engine.

    Args:
        encoder: Any encoder.
        paths: See `find_images`.
        output: Where to.
        progress: Is called with the number of images that are done, after each shard.
        engine: See `choose_engine`.
        size: Images a shard; `shards.SHARD` by default.

    Raises:
        SsahError: An unknown ending, or the shards are of other images or another encoder.
    """
    is_folder = output.is_dir() or not output.suffix
    if not is_folder and output.suffix not in (".npy", ".parquet"):
        raise SsahError(f"{output}: the output ends in .npy or .parquet, or is a folder")
    suffix = (
        ".npz" if output.suffix == ".npy" or (is_folder and not parquet_there()) else ".parquet"
    )
    if suffix == ".parquet":
        import_pyarrow()
    folder = output if is_folder else output.with_name(output.name + ".parts")
    lock = folder / ".lock" if is_folder else output.with_name(f".{output.name}.lock")
    with only_one(lock, output):
        kept = Shards(folder, paths, encoder, size or shards.SHARD, suffix)
        images, bad, flat = finish(kept, encoder, engine, progress)
        listed = list_bad(
            folder / BAD if is_folder else output.with_name(f"{output.name}.bad.jsonl"), bad
        )
        if is_folder:
            write_summary(kept, images, len(bad))
        else:
            (write_npy if suffix == ".npz" else write_one_parquet)(output, kept)
            kept.remove()
    return Encoded(images, bad, listed, flat)


def finish(
    kept: Shards, encoder: Encoder, engine: Engine, progress: Callable[[int], None]
) -> tuple[int, dict[str, str], tuple[str, ...]]:
    """Encode the shards that are missing; the number of images with a code, bad and flat ones."""
    images, done = 0, 0
    flat: dict[int, list[str]] = {}
    bad: dict[int, dict[str, str]] = {}
    left = []

    def count(number: int, records: Records) -> None:
        nonlocal images, done
        images, done = images + len(records), done + len(kept.names(number))
        bad[number] = records.bad
        hashes = (row.tobytes() for row in records.perceptual_hash)
        seen = zip(records.paths, hashes, strict=True)
        flat[number] = flat_pictures(encoder.image_size, seen)
        progress(done)

    for number in range(len(kept)):
        records = kept.read(number)
        if records is None:
            left.append(number)
        else:
            count(number, records)
    if left:
        with closing(engine(encoder, ((number, kept.names(number)) for number in left))) as results:
            for number, records in results:
                kept.write(number, records)
                count(number, records)
    reasons = {path: why for number in sorted(bad) for path, why in bad[number].items()}
    return images, reasons, tuple(chain.from_iterable(flat[number] for number in sorted(flat)))


def list_bad(path: Path, bad: dict[str, str]) -> Path | None:
    """Write the bad files and their reasons, one JSON object a line; `None` if there are none."""
    if not bad:
        path.unlink(missing_ok=True)
        return None
    lines = [json.dumps({"path": name, "reason": reason}) + "\n" for name, reason in bad.items()]
    write_atomically(path, "".join(lines).encode())
    return path


def write_summary(kept: Shards, images: int, bad: int) -> None:
    """Say that a folder of shards is whole, and what is in it."""
    about = {"model_id": kept.model_id, "bits": kept.bits, "images": images, "bad": bad}
    text = json.dumps({**about, "shards": len(kept)}, indent=1)
    write_atomically(kept.folder / SUMMARY, text.encode() + b"\n")


def write_npy(output: Path, kept: Shards) -> None:
    """Join shards to one array, and their paths to JSON beside it."""
    codes, paths = [], list[str]()
    for records in kept:
        codes.append(records.codes)
        paths += records.paths
    text = json.dumps({"model_id": kept.model_id, "bits": kept.bits, "paths": paths})
    output.unlink(missing_ok=True)  # older codes must never stand beside newer paths
    write_atomically(output.with_name(output.name + ".json"), text.encode())
    with atomic_path(output) as path:
        np.save(path, np.concatenate(codes))


def write_one_parquet(output: Path, kept: Shards) -> None:
    """Join shards to one file, a few at a time."""
    pyarrow = import_pyarrow()
    schema = parquet_schema({"model_id": kept.model_id, "bits": kept.bits})
    with atomic_path(output) as path, pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(kept), GROUP):
            numbers = range(start, min(start + GROUP, len(kept)))
            tables = [pyarrow.parquet.read_table(kept.file(number)) for number in numbers]
            table = pyarrow.concat_tables(tables).combine_chunks()
            writer.write_table(table.replace_schema_metadata(schema.metadata), len(table) or 1)


def parquet_there() -> bool:
    """Whether PyArrow is installed."""
    import importlib.util

    return importlib.util.find_spec("pyarrow") is not None
