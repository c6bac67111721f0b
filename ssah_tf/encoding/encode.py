"""Codes of whole folders, by threads or by a cluster; a killed run goes on where it was."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from ssah_tf.data.scan import EXCLUDED, Exclude, PassedOver, Scan, scan
from ssah_tf.encoding import shards
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.outputs import list_bad, write_npy, write_one_parquet, write_summary
from ssah_tf.encoding.record_file import import_pyarrow
from ssah_tf.encoding.records import Records, flat_pictures
from ssah_tf.encoding.resume import Resumed, Task, known_of, merge, to_read
from ssah_tf.encoding.shards import Shards, encode_shard
from ssah_tf.system.errors import SsahError
from ssah_tf.system.lock import only_one

#: Encodes (parts of) shards, in any order: `(encoder, tasks)` -> `(number, records)...`
Engine = Callable[[Encoder, Iterable[Task]], Generator[tuple[int, Records], None, None]]

#: List of the bad files in a folder of shards.
BAD = "_bad.jsonl"


@dataclass(frozen=True)
class Encoded:
    """What was written.

    Attributes:
        images: Images with a code.
        bad: Files that cannot be read -> the reason.
        listed: Where the bad ones are listed; `None` if there are none.
        resumed: How many were new, changed, and so on.
        flat: Pictures of one level. See `flat_pictures`.
        damaged: Files with a code that were read as far as they go -> what is missing.
    """

    images: int
    bad: dict[str, str]
    listed: Path | None = None
    resumed: Resumed = field(default_factory=Resumed)
    flat: tuple[str, ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)


class NoImages(SsahError):
    """Sources without an image file.

    Attributes:
        passed: What was left out of them.
    """

    def __init__(self, passed: PassedOver):
        super().__init__("; ".join(filter(None, ["no image files found", passed.line()])))
        self.passed = passed


def find_images(sources: Iterable[str | Path], exclude: Sequence[str] = ()) -> Scan:
    """Paths of files as given, and of all image files below folders, in order, each once.

    Args:
        sources: Files, whatever their endings, and folders.
        exclude: Patterns of what is passed over; see `data.scan.Exclude`.

    Raises:
        SsahError: A source does not exist.
        NoImages: There is no image at all.
    """
    given = list(map(str, sources))
    found: dict[str, None] = {}
    passed, rule = PassedOver(), Exclude(exclude)
    counted = set[str]() if len(given) > 1 else None
    for source in given:
        if os.path.isdir(source):
            below = scan(source, exclude, counted)
            found |= dict.fromkeys(os.path.join(source, name) for name in below.paths)
            passed += below.passed
        elif not os.path.exists(source):
            raise SsahError(f"{source}: no such file or folder")
        elif rule and rule("", source):
            passed = passed.and_files(EXCLUDED, 1)
        else:
            found[source] = None
    if not found:
        raise NoImages(passed)
    return Scan(list(found), passed)


def on_threads(
    encoder: Encoder, work: Iterable[Task]
) -> Generator[tuple[int, Records], None, None]:
    """The `Engine` of one machine: decoder threads beside those of ONNX Runtime."""
    for task in work:
        yield task.number, encode_shard(encoder, task.paths, known=task.known)


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
    check: bool = False,
) -> Encoded:
    """Write the codes of image files to `output`, with the model id and the paths.

    - `.npy`: uint8 `(n, ceil(bits / 8))`, and `<output>.json` with `model_id`, `bits`, `paths`.
    - `.parquet`: columns `path`, `code` and `appearance` (binary), of the file `digest` (SHA-256),
      `size` and `mtime_ns`, and `perceptual_hash`; `model_id`, `bits` and `appearance_bits` in its
      metadata.
    - a folder, for what does not fit into one file: shards of that form, `000000.parquet`, ... (or
      `.npz` where PyArrow is not installed), `_encoded.json` with the numbers at the end.

    Files without a code are listed with the reason in `<output>.bad.jsonl`, or in `_bad.jsonl` of
    the folder. Shards are kept (in `<output>.parts`, if the output is a file) until all are there.
    A call with the same encoder and paths goes on from them: nothing is lost and nothing comes
    twice, whatever the engine. Files that have changed since, or could not be read, are read again.

    Args:
        encoder: Any encoder.
        paths: See `find_images`.
        output: Where to.
        progress: Is called with the number of images that are done, after each shard.
        engine: See `choose_engine`.
        size: Images a shard; `shards.SHARD` by default.
        check: Read all files again, those with the same size and time of change, too.

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
        done = finish(kept, encoder, engine, progress, check)
        listed = list_bad(
            folder / BAD if is_folder else output.with_name(f"{output.name}.bad.jsonl"), done.bad
        )
        if is_folder:
            write_summary(kept, done.images, len(done.bad))
        else:
            (write_npy if suffix == ".npz" else write_one_parquet)(output, kept)
            kept.remove()
    return replace(done, listed=listed)


def finish(
    kept: Shards,
    encoder: Encoder,
    engine: Engine,
    progress: Callable[[int], None],
    check: bool = False,
) -> Encoded:
    """Encode what is missing or has changed; see `Encoded`."""
    images, done, resumed = 0, 0, Resumed()
    flat: dict[int, list[str]] = {}
    bad: dict[int, dict[str, str]] = {}
    damaged: dict[int, dict[str, str]] = {}
    left: list[tuple[int, list[str]]] = []
    older: dict[int, Records] = {}

    def count(number: int, records: Records, how: Resumed) -> None:
        nonlocal images, done, resumed
        images, done = images + len(records), done + len(kept.names(number))
        resumed += how
        bad[number], damaged[number] = records.bad, records.damaged
        hashes = (row.tobytes() for row in records.perceptual_hash)
        seen = zip(records.paths, hashes, strict=True)
        flat[number] = flat_pictures(encoder.image_size, seen)
        progress(done)

    def tasks() -> Iterator[Task]:
        """What is left; the shards that it belongs to are held only while it is on its way."""
        for number, paths in left:
            records = kept.read(number)
            if records is None:
                yield Task(number, kept.names(number))
            else:
                older[number] = records
                yield Task(number, paths, known_of(kept.entries(number, records)))

    for number in range(len(kept)):
        records = kept.read(number)
        again = [] if records is None else to_read(kept.entries(number, records), check)
        if records is None or again:
            left.append((number, again))
        else:
            count(number, records, Resumed(kept=len(records)))
    if left:
        with closing(engine(encoder, tasks())) as results:
            for number, found in results:
                records, how = older.pop(number, None), Resumed(new=len(found))
                if records is not None:
                    new, how = merge(encoder, kept.entries(number, records), found)
                    found = records if new is None else new
                if found is not records:
                    kept.write(number, found)
                count(number, found, how)
    numbers = sorted(bad)
    level = tuple(chain.from_iterable(flat[number] for number in numbers))
    return Encoded(
        images,
        {path: why for number in numbers for path, why in bad[number].items()},
        None,
        resumed,
        level,
        {path: why for number in numbers for path, why in damaged[number].items()},
    )


def parquet_there() -> bool:
    """Whether PyArrow is installed."""
    import importlib.util

    return importlib.util.find_spec("pyarrow") is not None
