"""The commands on an index of photos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable, tell_flat
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    from ssah_tf.search.photo_index import Hit

app = typer.Typer()

#: Neighbours of a query, where neither a number nor a radius is asked for.
NEIGHBOURS = 20

Index = Annotated[str, typer.Argument(help="What `ssah index` wrote: a folder or an address.")]
Threads = Annotated[int, typer.Option(min=0, help="Of ONNX Runtime; 0: one a core.")]
Page = Annotated[Path | None, typer.Option("--html", help="Write a page with pictures, too.")]
Show = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]


@app.command()
def index(
    encoder: Annotated[Path, typer.Argument(help="What `ssah export` wrote, or its ONNX file.")],
    sources: Annotated[list[str], typer.Argument(help="Image files, or folders of them.")],
    output: Annotated[
        str, typer.Option(help="Folder of the index, or its address in a database.")
    ] = "index",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|folders",
            help="Label file of the photos, or `folders` where folders are the classes.",
        ),
    ] = None,
    codes: Annotated[
        Path | None, typer.Option(help="Folder that `ssah encode` wrote: its codes are taken.")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Index photos for search; run again, it takes in what is new, changed or gone."""
    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.search.backends.schemes import locked, shown
    from ssah_tf.search.labels import PhotoLabels
    from ssah_tf.search.photo_index import PhotoIndex

    loaded = Encoder.load(encoder, threads=threads)
    label = PhotoLabels(labels, sources) if labels is not None else None
    with resumable(SAME_AGAIN), locked(output), progress_bar("encoding") as bar:
        opened = PhotoIndex.open(output, loaded)
        done = opened.sync(loaded, sources, bar, label, codes)
    for reason in done.bad.values():
        typer.echo(f"skipped: {reason}", err=True)
    tell_flat(done.flat)
    if label is not None and (unused := label.unused):
        typer.echo(
            f"{labels}: {len(unused):,} of its paths are no photo of the index, "
            f"for example {printable(unused[0])}",
            err=True,
        )
    typer.echo(
        f"{len(opened):,} photos: {done.added:,} new, {done.changed:,} changed, "
        f"{done.removed:,} removed, {done.kept:,} as they were\nindex: {shown(output)}"
    )


@app.command()
def search(
    index: Index,
    queries: Annotated[list[str], typer.Argument(help="Image files, or folders of them.")],
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            min=1,
            show_default=False,
            help=f"Neighbours of each query; {NEIGHBOURS}, or all within --radius.",
        ),
    ] = None,
    radius: Annotated[
        int | None, typer.Option(min=0, help="Largest distance in bits, included.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Only photos with label=NAME|NAME or path=PATTERN; may come several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    page: Page = None,
    show: Show = False,
) -> None:
    """Find the photos of an index that are most like others."""
    from ssah_tf.encoding.encode import find_images
    from ssah_tf.encoding.records import encode_readable
    from ssah_tf.search.photo_index import PhotoIndex

    opened = PhotoIndex.open(index)
    paths = find_images(queries)
    codes, reasons = encode_readable(opened.encoder(), paths)
    for reason in filter(None, reasons):
        typer.echo(f"skipped: {reason}", err=True)
    good = [path for path, reason in zip(paths, reasons, strict=True) if not reason]
    if not good:
        raise SsahError("none of the queries can be read")
    if k is None and radius is None:
        k = NEIGHBOURS
    found = opened.neighbours(codes, k, radius, where or ())
    results = list(zip(good, found, strict=True))
    if as_json:
        typer.echo(json.dumps([as_object(path, near) for path, near in results], indent=1))
    else:
        for path, near in results:
            typer.echo(f"{printable(path)}: {len(near):,} of {len(opened):,} photos")
            for hit in near:
                labels = hit.photo.labels
                names = f"  [{printable('; '.join(labels))}]" if labels else ""
                typer.echo(f"{hit.distance:4d}  {printable(hit.photo.path)}{names}")
    if page is not None or show:
        from ssah_tf.search.pages import write_gallery

        bits = opened.codes.bits
        make_page(lambda path: write_gallery(path, results, bits), page, show)


@app.command()
def duplicates(
    index: Index,
    radius: Annotated[
        int | None,
        typer.Option(min=0, help="Largest distance of codes in bits; default: an eighth of them."),
    ] = None,
    min_ssim: Annotated[
        float,
        typer.Option(min=0, max=1, help="Smallest SSIM of small grey pictures, 1 for the same."),
    ] = 0.9,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write a table, a row a photo.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a list.")] = False,
    page: Page = None,
    show: Show = False,
) -> None:
    """Find groups of near duplicates: close codes, confirmed by their pixels."""
    from ssah_tf.search.duplicates import as_rows, find_duplicates, summary, write_table
    from ssah_tf.search.photo_index import PhotoIndex

    opened = PhotoIndex.open(index)
    radius = opened.codes.bits // 8 if radius is None else radius
    with progress_bar("comparing") as bar:
        groups = find_duplicates(opened, radius, min_ssim, bar)
    if as_json:
        typer.echo(json.dumps(list(as_rows(groups)), indent=1))
    else:
        for row in as_rows(groups):
            if row["kind"] == "first":
                typer.echo(f"group {row['group']}")
            alike = f"{row['ssim']:.3f} {row['distance']:3d}" if row["kind"] == "near" else ""
            typer.echo(f"  {row['kind']:5} {alike:9}  {printable(row['path'])}")
        typer.echo(summary(groups))
    if table is not None:
        write_table(table, groups)
        typer.echo(f"table: {table}", err=True)
    if page is not None or show:
        from ssah_tf.search.pages import write_duplicates

        make_page(lambda path: write_duplicates(path, groups, summary(groups)), page, show)


@app.command()
def stats(
    index: Index,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show how the codes of an index are spread, what it takes, and which radius to use."""
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.search.stats import as_lines, index_stats

    found = index_stats(PhotoIndex.open(index))
    typer.echo(json.dumps(found.to_dict(), indent=1) if as_json else "\n".join(as_lines(found)))


@app.command()
def migrate(
    index: Index,
    encoder: Annotated[Path, typer.Argument(help="The new encoder: an export, or its ONNX file.")],
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Leave photos out whose files cannot be read now."),
    ] = False,
    threads: Threads = 0,
) -> None:
    """Encode the photos of an index anew with another encoder; the old stays until that is done."""
    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.search.backends.schemes import locked
    from ssah_tf.search.photo_index import PhotoIndex

    loaded = Encoder.load(encoder, threads=threads)
    PhotoIndex.open(index)  # nothing is made, not even a lock, where there is no index
    with resumable(SAME_AGAIN), locked(index), progress_bar("encoding") as bar:
        opened = PhotoIndex.open(index)
        old = opened.codes.model_id
        bad = opened.migrate(loaded, bar, skip_unreadable)
    for reason in bad.values():
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"{len(opened):,} photos: model {old} -> {loaded.model_id}, {loaded.bits} bits")


@app.command()
def load(
    index: Annotated[Path, typer.Argument(help="A folder that `ssah index` wrote.")],
    address: Annotated[
        str,
        typer.Argument(
            help="postgresql://USER@HOST:PORT/DATABASE/NAME or milvus://HOST:PORT/NAME."
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
        f"{done.added:,} photos new, {done.changed:,} changed, {done.removed:,} removed\n"
        f"index: {shown(address)}"
    )


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
            {"path": hit.photo.path, "distance": hit.distance, "labels": hit.photo.labels}
            for hit in near
        ],
    }
