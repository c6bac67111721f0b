"""Files of records, whole or not there: one form for shards and parts, as Parquet or as arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.data.perceptual_hash import BYTES as HASH_BYTES
from ssah_tf.encoding.records import DIGEST_BYTES, Records, as_rows
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import parse_json, read_arrays
from ssah_tf.system.text import as_unicode

#: Columns that older versions wrote -> what they are called now.
RENAMED = {"changed": "mtime_ns", "looks": "perceptual_hash"}


class OlderFile(Exception):
    """A file that an older version wrote."""


def write_records(path: Path, records: Records) -> None:
    """Write a file of records, whole or not at all.

    Args:
        path: Ends in `.parquet`, or in `.npz`, which keeps names that are no Unicode, too.
        records: What it is to hold.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
        SsahError: It is Parquet, and PyArrow is not installed.
    """
    write = write_parquet if path.suffix == ".parquet" else write_npz
    with atomic_path(path) as temporary:
        write(temporary, records)


def read_records(path: Path, if_older: str = "encode again into a new --output") -> Records | None:
    """What a file of records holds; `None` if it is not there or damaged.

    Args:
        path: See `write_records`.
        if_older: What to do about a file of an older version, for the message.

    Raises:
        SsahError: An older version wrote it, or it is Parquet and PyArrow is not installed.
    """
    read = read_parquet if path.suffix == ".parquet" else read_npz
    if path.suffix == ".parquet":
        import_pyarrow()
    try:
        records = read(path)
        return records if records.whole() else None
    except OlderFile:
        names = ", ".join(f"{old} is now {new}" for old, new in RENAMED.items())
        raise SsahError(
            f"{path}: written by an older version of ssah-tf (column {names}); {if_older}"
        ) from None
    # PyArrow says of damaged files that they are invalid, not implemented, or anything else.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
        return None


def write_npz(path: Path, records: Records) -> None:
    """Write records as arrays; names and reasons as JSON, in bytes."""
    said = {"paths": records.paths, "bad": records.bad, "damaged": records.damaged}
    text = json.dumps({**about_of(records), **said})
    width = code_bytes(records.bits)
    appearance: dict[str, Any] = {}
    if records.appearance_bits:
        appearance["appearance"] = records.codes[:, width:]
    np.savez(
        path,
        codes=records.codes[:, :width],
        **appearance,
        digests=records.digests,
        sizes=records.sizes,
        mtime_ns=records.mtime_ns,
        perceptual_hash=records.perceptual_hash,
        about=np.frombuffer(text.encode(), np.uint8),
    )


def read_npz(path: Path) -> Records:
    """Records in a file of arrays; whatever else it raises, the file is damaged.

    Raises:
        OlderFile: An older version wrote it.
    """
    arrays = read_arrays(path)
    about = parse_json(arrays.pop("about").tobytes())
    if RENAMED.keys() & arrays.keys() or "photos" in about:  # parts of an index had no columns
        raise OlderFile
    codes, rows = arrays["codes"], len(about["paths"])
    none = np.zeros((rows, 0), np.uint8)  # what an older version wrote has no appearance codes
    return Records(
        about["model_id"],
        int(about["bits"]),
        int(about.get("appearance_bits", 0)),
        list(about["paths"]),
        np.concatenate([codes, arrays.get("appearance", none)], axis=1),
        arrays["digests"],
        arrays["sizes"],
        arrays["mtime_ns"],
        arrays["perceptual_hash"],
        dict(about["bad"]),
        damaged=dict(about.get("damaged", {})),
    )


def write_parquet(path: Path, records: Records) -> None:
    """Write records as a table of the images with a code; its metadata say what is bad."""
    pyarrow = import_pyarrow()
    said = {
        what: json.dumps({as_unicode(name): as_unicode(why) for name, why in found.items()})
        for what, found in (("bad", records.bad), ("damaged", records.damaged))
    }
    width = code_bytes(records.bits)
    columns = {"appearance": [row.tobytes() for row in records.codes[:, width:]]}
    table = pyarrow.table(
        {
            "path": [as_unicode(name) for name in records.paths],
            "code": [row.tobytes() for row in records.codes[:, :width]],
            **(columns if records.appearance_bits else {}),
            "digest": [row.tobytes() for row in records.digests],
            "size": records.sizes,
            "mtime_ns": records.mtime_ns,
            "perceptual_hash": [row.tobytes() for row in records.perceptual_hash],
        },
        schema=parquet_schema({**about_of(records), **said}),
    )
    pyarrow.parquet.write_table(table, path, write_page_checksum=True)


def read_parquet(path: Path) -> Records:
    """Records in a Parquet file. See `read_npz`."""
    table = import_pyarrow().parquet.read_table(path, page_checksum_verification=True)
    if RENAMED.keys() & set(table.column_names):
        raise OlderFile
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    bits, appearance_bits = int(about["bits"]), int(about.get("appearance_bits", 0))
    codes = [as_rows(table["code"].to_pylist(), code_bytes(bits))]
    if appearance_bits:
        codes.append(as_rows(table["appearance"].to_pylist(), code_bytes(appearance_bits)))
    return Records(
        about["model_id"],
        bits,
        appearance_bits,
        table["path"].to_pylist(),
        np.concatenate(codes, axis=1),
        as_rows(table["digest"].to_pylist(), DIGEST_BYTES),
        table["size"].to_numpy(),
        table["mtime_ns"].to_numpy(),
        as_rows(table["perceptual_hash"].to_pylist(), HASH_BYTES),
        dict(parse_json(about["bad"])),
        damaged=dict(parse_json(about.get("damaged", "{}"))),
    )


def about_of(records: Records) -> dict[str, Any]:
    """What a file says of the codes in it."""
    return {
        "model_id": records.model_id,
        "bits": records.bits,
        "appearance_bits": records.appearance_bits,
    }


def parquet_schema(about: dict[str, Any]) -> Any:
    """Columns of a Parquet file of records, and what its metadata says."""
    pyarrow = import_pyarrow()
    appearance = {"appearance": pyarrow.binary()} if about["appearance_bits"] else {}
    return pyarrow.schema(
        {
            "path": pyarrow.string(),
            "code": pyarrow.binary(),
            **appearance,
            "digest": pyarrow.binary(),
            "size": pyarrow.int64(),
            "mtime_ns": pyarrow.int64(),
            "perceptual_hash": pyarrow.binary(),
        },
        metadata={key: str(value) for key, value in about.items()},
    )


def import_pyarrow() -> Any:
    """PyArrow, or one line that says how to get it.

    Raises:
        SsahError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SsahError("Parquet needs pyarrow: pip install 'ssah-tf[parquet]'") from None
    return pyarrow
