"""What `ssah encode` leaves: one file of all shards, and lists of what is in them and what not."""

import json
from pathlib import Path

import numpy as np

from ssah_tf.encoding.record_file import import_pyarrow, parquet_schema
from ssah_tf.encoding.shards import SUMMARY, Shards
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.files import atomic_path, write_atomically

#: Shards that make a row group of the one Parquet file.
GROUP = 64


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
    about = {"model_id": kept.model_id, "bits": kept.bits, "appearance_bits": kept.appearance_bits}
    about |= {"images": images, "bad": bad}
    text = json.dumps({**about, "shards": len(kept)}, indent=1)
    write_atomically(kept.folder / SUMMARY, text.encode() + b"\n")


def write_npy(output: Path, kept: Shards) -> None:
    """Join shards to one array, of codes alone, and their paths to JSON beside it."""
    codes, paths = [], list[str]()
    for records in kept:
        codes.append(records.codes[:, : code_bytes(kept.bits)])
        paths += records.paths
    text = json.dumps({"model_id": kept.model_id, "bits": kept.bits, "paths": paths})
    output.unlink(missing_ok=True)  # older codes must never stand beside newer paths
    write_atomically(output.with_name(output.name + ".json"), text.encode())
    with atomic_path(output) as path:
        np.save(path, np.concatenate(codes))


def write_one_parquet(output: Path, kept: Shards) -> None:
    """Join shards to one file, a few at a time."""
    pyarrow = import_pyarrow()
    about = {"model_id": kept.model_id, "bits": kept.bits}
    schema = parquet_schema({**about, "appearance_bits": kept.appearance_bits})
    with atomic_path(output) as path, pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(kept), GROUP):
            numbers = range(start, min(start + GROUP, len(kept)))
            tables = [pyarrow.parquet.read_table(kept.file(number)) for number in numbers]
            table = pyarrow.concat_tables(tables).combine_chunks()
            writer.write_table(table.replace_schema_metadata(schema.metadata), len(table) or 1)
