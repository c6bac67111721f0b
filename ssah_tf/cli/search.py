"""The commands on an index of photos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ssah_tf.cli.extras import Export, Runtime, need
from ssah_tf.cli.folders import Exclude, patterns, print_passed_over
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable, tell_damaged, tell_flat
from ssah_tf.cli.watch import SWEEP, follow
from ssah_tf.system.durations import parse_duration
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    import numpy as np

    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.search.photo_index import Hit

app = typer.Typer(rich_markup_mode=None)

#: Neighbours of a query, where neither a number nor a radius is asked for.
NEIGHBOURS = 20

#: What is said where photos cannot be ordered by appearance.
NO_APPEARANCE = (
    "its encoder gives no appearance codes, so photos of one distance come by id; train and export "
    "anew, then run `ssah migrate INDEX EXPORT`"
)
#: See `ssah_tf.search.photo_index.Order`.
Order = Literal["appearance", "id"]

Index = Annotated[str, typer.Argument(help="Open the index in this folder, or at this address.")]
Threads = Annotated[
    int, typer.Option(min=0, help="Use so many threads of the runtime, 0 for one a core.")
]
Page = Annotated[
    Path | None, typer.Option("--html", help="Write a page with pictures to this file.")
]
Show = Annotated[bool, typer.Option("--open", help="Open the page with pictures in a browser.")]


@app.command()
def index(
    ctx: typer.Context,
    encoder: Annotated[Path, typer.Argument(help="Use the encoder of this export, or ONNX file.")],
    sources: Annotated[
        list[str], typer.Argument(help="Index these image files, and those of these folders.")
    ],
    output: Annotated[
        str, typer.Option(help="Keep the index in this folder, or at this address of a database.")
    ] = "index",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|folders",
            help="Give photos the labels of this file; with `folders`, of their class folders. "
            "Others keep theirs.",
        ),
    ] = None,
    replace_labels: Annotated[
        bool,
        typer.Option("--replace-labels", help="Take away the labels that --labels does not give."),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Take missing photos, and those outside these sources, away for good."
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Allow --prune to take more than a fifth of the index, or with a source empty.",
        ),
    ] = False,
    codes: Annotated[
        Path | None, typer.Option(help="Take the codes that `ssah encode` wrote to this folder.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Take features of a frozen backbone from this working folder, as ssah suggest "
            "keeps them; the codes are the same.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on, and take in what is new, changed or gone as it comes."
        ),
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            help="Look at all files so often while watching, since network drives do not tell of "
            f"changes, such as 30s, 10m or 2h; {SWEEP} by default.",
        ),
    ] = None,
    exclude: Exclude = None,
    runtime: Runtime = None,
    threads: Threads = 0,
) -> None:
    """Index photos for search; run again, it takes in what is new or changed.

    Photos that are gone are missing: out of results, but kept with their labels until they are
    back, or until --prune.
    """
    from ssah_tf.data.names import odd_names
    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.encoding.hash_layer import codes_of_features
    from ssah_tf.search.backends.schemes import locked, shown
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.search.watch import LabelFile, Watcher

    if labels is None:
        refuse_idle(ctx, "needs --labels FILE, or --labels folders", "replace_labels")
    if not prune:
        refuse_idle(ctx, "goes with --prune", "yes")
    if watch:
        need("search", "--watch")
    if watch and prune:
        raise SsahError("--watch never removes photos: run --prune by itself")
    if not watch:
        refuse_idle(ctx, "goes with --watch", "sweep")
    every = parse_duration(sweep or SWEEP, "--sweep")
    loaded = Encoder.load(encoder, runtime=runtime, threads=threads)
    if loaded.path.suffix != ".onnx":
        raise SsahError(
            f"{encoder}: an index searches with an encoder of its own, in ONNX: give encoder.onnx "
            "or encoder.int8.onnx"
        )
    of_features = codes_of_features(loaded, features) if features is not None else None
    file = LabelFile.read(labels, sources) if labels is not None else None
    label = file.labels if file is not None else None
    with (
        resumable(SAME_AGAIN),
        locked(output),
        progress_bar("reading photos") as bar,
        PhotoIndex.open(output, loaded) as opened,
    ):
        done = opened.sync(
            loaded,
            sources,
            bar,
            label,
            codes,
            replace_labels,
            patterns(exclude),
            watch,
            of_features,
        )
        photos, undated = len(opened), opened.storage.cannot.get("dates")
    if undated:
        typer.echo(f"{shown(output)}: {undated}", err=True)
    for reason in done.bad.values():
        typer.echo(f"skipped: {printable(reason)}", err=True)
    tell_damaged(done.damaged)
    tell_flat(done.flat)
    if label is not None and (unused := label.unused):
        typer.echo(
            f"{labels}: {len(unused):,} of its paths are no photo of the index, "
            f"for example {printable(unused[0])}",
            err=True,
        )
    print_passed_over(done.passed)
    if label is not None and label.table is not None:
        for line in odd_names(label.table.classes)[:20]:
            typer.echo(f"{labels}: {printable(line)}", err=True)
    removed = labelled = 0
    refused: SsahError | None = None
    if prune:
        try:
            with locked(output), PhotoIndex.open(output, loaded) as opened:
                removed, labelled = opened.prune(done.bad, yes)
        except SsahError as error:
            refused = error
    missing = done.missing - removed
    typer.echo(
        f"{photos:,} photos: {done.added:,} new, {done.changed:,} changed, {done.moved:,} moved, "
        f"{done.back:,} back, {missing:,} missing, {removed:,} removed, {done.kept:,} as they were"
    )
    if label is not None:
        given, changed, taken = done.labels
        typer.echo(
            f"labels: {given:,} photos were given some, {changed:,} have others, "
            f"{taken:,} lost theirs"
        )
    if removed:
        typer.echo(f"removed for good: {removed:,} photos, {labelled:,} of them with labels")
    if missing:
        typer.echo(
            f"{missing:,} photos are missing, {done.missing_labelled - labelled:,} of them with "
            "labels: their files are gone, outside these sources, or cannot be read; they are left "
            "out of results until they are back (--prune takes away those that are gone)",
            err=True,
        )
    if refused is not None:
        raise refused
    typer.echo(f"index: {shown(output)}")
    if watch:
        leave_out = patterns(exclude)
        follow(Watcher(output, loaded, sources, leave_out, file, replace_labels, done.bad), every)


@app.command()
def search(
    ctx: typer.Context,
    index: Index,
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            show_default=False, help="Search with these image files, and those of these folders."
        ),
    ] = None,
    word: Annotated[
        str | None,
        typer.Option(
            "--label-like",
            metavar="WORD",
            help="Search with the labels that have this word, or the start of one, in their name: "
            "find the photos without a label that are most like those with it.",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            min=1,
            show_default=False,
            help=f"Find so many photos for each query; by default {NEIGHBOURS}, or all within "
            "--radius.",
        ),
    ] = None,
    radius: Annotated[
        int | None, typer.Option(min=0, help="Find photos up to this distance, in bits.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Find only photos with label=NAME|NAME, path=WORD or path=PATTERN, folder=PATH or "
            "date>=2024-05-31; may come several times.",
        ),
    ] = None,
    order: Annotated[
        Order | None,
        typer.Option(
            show_default=False,
            help="Put photos of one distance in the order of appearance, or in that of ids. By "
            "default by appearance, where the encoder gives appearance codes.",
        ),
    ] = None,
    exclude: Exclude = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    page: Page = None,
    show: Show = False,
    runtime: Runtime = None,
    encoder: Export = None,
) -> None:
    """Find the photos of an index that are most like others, or like those of a label."""
    from ssah_tf.search.photo_index import PhotoIndex

    if bool(queries) == (word is not None):
        raise SsahError("give image files or folders to search with, or --label-like WORD")
    if word is not None:
        why = "has no effect with --label-like, which encodes no images"
        refuse_idle(ctx, why, "runtime", "encoder", "exclude")
    where = where or []
    with PhotoIndex.open(index) as opened:
        if word is None:
            loaded = opened.encoder(runtime=runtime, export=encoder)
            names, codes = encoded(loaded, queries or [], exclude)
        else:
            names = opened.labels_like(word)
            codes, where = opened.label_codes(names), opened.unlabelled(where)
            matched = "; ".join(map(printable, names))
            typer.echo(f"labels like {word!r}: {matched}", err=True)
        if k is None and radius is None:
            k = NEIGHBOURS
        found = opened.neighbours(codes, k, radius, where, order or "appearance")
        if order == "appearance" and not opened.codes.appearance_bits:
            typer.echo(f"{opened.storage}: {NO_APPEARANCE}", err=True)
        photos, bits, missing = len(opened), opened.codes.bits, len(opened.missing)
        by_appearance = order != "id" and opened.codes.appearance_bits > 0
    if missing:
        typer.echo(f"{missing:,} photos of the index are missing and left out", err=True)
    results = list(zip(names, found, strict=True))
    if as_json:
        typer.echo(json.dumps([as_object(name, near) for name, near in results], indent=1))
    else:
        for name, near in results:
            typer.echo(f"{printable(name)}: {len(near):,} of {photos:,} photos")
            for hit in near:
                labels = hit.photo.labels
                known = f"  [{printable('; '.join(labels))}]" if labels else ""
                typer.echo(f"{hit.distance:4d}  {printable(hit.photo.path)}{known}")
    if page is not None or show:
        from ssah_tf.search.pages import write_gallery

        pictures = word is None
        make_page(
            lambda path: write_gallery(path, results, bits, by_appearance, pictures), page, show
        )


@app.command()
def stats(
    index: Index,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show how the codes of an index are spread, what it takes, and which radius to use."""
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.search.stats import as_lines, index_stats

    with PhotoIndex.open(index) as opened:
        found = index_stats(opened)
    typer.echo(json.dumps(found.to_dict(), indent=1) if as_json else "\n".join(as_lines(found)))


@app.command()
def migrate(
    index: Index,
    encoder: Annotated[
        Path, typer.Argument(help="Encode with this export, or ONNX file, from now on.")
    ],
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable", help="Leave photos out of results whose files cannot be read now."
        ),
    ] = False,
    runtime: Runtime = None,
    threads: Threads = 0,
) -> None:
    """Encode the photos of an index anew with another encoder; the old stays until that is done."""
    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.search.backends.schemes import locked
    from ssah_tf.search.photo_index import PhotoIndex

    loaded = Encoder.load(encoder, runtime=runtime, threads=threads)
    PhotoIndex.open(index).close()  # nothing is made, not even a lock, where there is no index
    with (
        resumable(SAME_AGAIN),
        locked(index),
        progress_bar("encoding") as bar,
        PhotoIndex.open(index) as opened,
    ):
        old = opened.codes.model_id
        bad = opened.migrate(loaded, bar, skip_unreadable)
        photos = len(opened)
    for reason in bad.values():
        typer.echo(f"missing: {printable(reason)}", err=True)
    typer.echo(f"{photos:,} photos: model {old} -> {loaded.model_id}, {loaded.bits} bits")


@app.command()
def load(
    index: Annotated[Path, typer.Argument(help="Load the index in this folder.")],
    address: Annotated[
        str,
        typer.Argument(
            help="Load it into postgresql://USER@HOST:PORT/DATABASE/NAME or milvus://HOST:PORT/NAME."
        ),
    ],
) -> None:
    """Bring an index from its folder into a database; run again, it brings what has changed."""
    from ssah_tf.search.backends.schemes import locked, parse_address, shown
    from ssah_tf.search.photo_index import load_photos

    parse_address(address)
    with resumable("the same command brings the rest"), locked(address):
        done = load_photos(index, address)
    typer.echo(
        f"{done.added:,} photos new, {done.changed:,} changed, {done.missing:,} missing, "
        f"{done.removed:,} removed\n"
        f"index: {shown(address)}"
    )


def encoded(
    encoder: "Encoder", queries: list[str], exclude: list[str] | None
) -> tuple[list[str], "np.ndarray"]:
    """Paths of the queries that can be read, and their full codes; tells of the others."""
    from ssah_tf.encoding.encode import find_images
    from ssah_tf.encoding.records import encode_readable

    scanned = find_images(queries, patterns(exclude))
    codes, reasons, damaged = encode_readable(encoder, scanned.paths)
    for reason in filter(None, reasons):
        typer.echo(f"skipped: {printable(reason)}", err=True)
    tell_damaged(damaged)
    print_passed_over(scanned.passed)
    good = [path for path, reason in zip(scanned.paths, reasons, strict=True) if not reason]
    if not good:
        raise SsahError("none of the queries can be read")
    return good, codes


def make_page(write: Callable[[Path], None], page: Path | None, show: bool) -> None:
    """Write a page and open it, if it is to be shown; one without a name goes to a new file."""
    from ssah_tf.search.pages import open_page, page_to_open

    page = page or page_to_open()
    write(page)
    typer.echo(f"page: {page}", err=True)
    if show:
        open_page(page)


def as_object(query: str, near: "list[Hit]") -> dict[str, Any]:
    """What JSON says of a query."""
    return {
        "query": query,
        "neighbours": [
            {
                "path": hit.photo.path,
                "distance": hit.distance,
                "labels": hit.photo.labels,
                "second_pictures": hit.photo.second_pictures,
            }
            for hit in near
        ],
    }
