"""The command `ssah duplicates`: groups of near duplicates, as a list or on a page to decide."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ssah_tf.cli.extras import need, renamed
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable
from ssah_tf.cli.proxy import AllowHost, AllowOrigin, ForwardedAllowIps, RootPath, reached
from ssah_tf.cli.search import Page, Show, make_page
from ssah_tf.cli.serve import (
    Host,
    Port,
    TokenFile,
    listen,
    page_settings,
    refuse_open,
    run,
)
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable, quoted

if TYPE_CHECKING:
    from ssah_tf.search.duplicates import Duplicates
    from ssah_tf.search.review.kept import KeptGroups
    from ssah_tf.search.review.labels import LabelPlace
    from ssah_tf.search.review.proposal import Rules
    from ssah_tf.search.review.set_aside import SetAside
    from ssah_tf.serve.review import Review

#: See `ssah_tf.search.review.proposal.Rule`.
Rule = Literal["largest", "oldest", "labels"]
#: Seconds that a request may take: large files are copied where a folder is on another disk.
PATIENCE = 600.0
#: Parameters of the page of decisions, and of the list.
OF_REVIEW = (
    *("set_aside", "first", "prefer", "labels", "work", "host", "port", "token_file"),
    *("allow_host", "allow_origin", "root_path", "forwarded_allow_ips"),
)
OF_LIST = ("table", "as_json", "page", "show")

app = typer.Typer(rich_markup_mode=None)


def index_given(ctx: typer.Context, value: str | None) -> str | None:
    """Ask for the index, unless photos are only to be restored."""
    if value is None and ctx.params.get("restore") is None:
        raise typer.BadParameter("give the index whose photos are looked at, or --restore DIR")
    return value


@app.command()
def duplicates(
    ctx: typer.Context,
    index: Annotated[
        str | None,
        typer.Argument(
            help="Open the index in this folder, or at this address.", callback=index_given
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Compare photos whose codes differ in so many bits at most; by default an eighth.",
        ),
    ] = None,
    min_ssim: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Group photos from this SSIM of whole pictures in colour on, 1 for the same.",
        ),
    ] = 0.9,
    likeness: Annotated[str, renamed("--likeness", "--min-ssim")] = "",
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write a table to this file, a row a photo.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a list.")] = False,
    page: Page = None,
    show: Show = False,
    review: Annotated[
        bool,
        typer.Option("--review", help="Serve a page to decide group by group what to keep."),
    ] = False,
    set_aside: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Allow the page to move photos to this folder; without it nothing is moved.",
        ),
    ] = None,
    restore: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            is_eager=True,
            help="Put back what was set aside in this folder, and nothing else; with INDEX, or "
            "--labels, labels too.",
        ),
    ] = None,
    first: Annotated[
        Rule,
        typer.Option(
            "--keep",
            help="Choose what the page proposes to keep: the largest picture, the one taken first, "
            "or the one with most labels.",
        ),
    ] = "largest",
    prefer: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Choose photos of this folder before all others."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Give labels of what is set aside to what is kept in this file (.csv), instead of "
            "in the index."
        ),
    ] = None,
    work: Annotated[
        Path, typer.Option(help="Keep in this folder which groups are kept as they are.")
    ] = Path("labelling"),
    host: Host = "127.0.0.1",
    port: Port = 8002,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    root_path: RootPath = "",
    forwarded_allow_ips: ForwardedAllowIps = "",
) -> None:
    """Find groups of near duplicates: close codes, confirmed by their pixels, on disk as it is now.

    Mirrored and turned copies are found, too, and photos of one burst: taken within a minute.

    Exit code 0: all photos are as they were indexed; 3: some are missing or have changed, or could
    not be put back where they were.
    """
    if restore is not None:
        why = "has no effect with --restore, which only puts photos back"
        refuse_idle(ctx, why, but=("index", "restore", "labels"))
        return put_back(restore, index, labels)
    assert index is not None
    if not review:
        refuse_idle(ctx, "goes with --review, which serves a page", *OF_REVIEW)
        return listed(index, radius, min_ssim, table, as_json, page, show)
    refuse_idle(ctx, "has no effect with --review, which serves a page", *OF_LIST)
    need("serve", "ssah duplicates --review")
    from ssah_tf.search.backends.schemes import shown
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.search.review.kept import KeptGroups
    from ssah_tf.search.review.proposal import Rules
    from ssah_tf.search.review.set_aside import SetAside
    from ssah_tf.serve.app import make_review_app
    from ssah_tf.system.lock import only_one

    places = reached(host, allow_host, allow_origin, root_path, forwarded_allow_ips)
    settings = replace(page_settings(token_file, places), timeout=PATIENCE)
    with PhotoIndex.open(index) as opened:
        roots = opened.roots
    if set_aside is not None:
        check_outside(set_aside, roots)
    place = label_place(index, labels)
    with (
        listen(host, port) as listener,
        only_one(work / ".duplicates.lock", work, option="--work"),
        holding(set_aside),
    ):
        refuse_open(settings, listener, host, "move photos and change labels")
        kept = KeptGroups(work)
        aside = None if set_aside is None else SetAside(set_aside, place)
        rules = Rules(os.path.abspath(prefer) if prefer is not None else "", first)
        with progress_bar("comparing") as bar:
            found = find(index, radius, min_ssim, bar)
        groups = make_review(found, roots, place, kept, aside, rules)
        if groups.lost:
            typer.echo(groups.lost, err=True)
        if prefer is not None and rules.prefer not in groups.folders.values():
            typer.echo(f"--prefer {printable(str(prefer))}: no duplicate lies in it", err=True)
        about = f"{len(groups):,} groups, {len(groups.photos):,} photos\nreview page"
        run(make_review_app(groups, settings), settings, listener, about)
        moved = 0 if aside is None else sum(len(step.photos) for step in aside.steps)
    if moved and set_aside is not None:
        typer.echo(
            f"{moved:,} photos are set aside in {printable(str(set_aside))}\n"
            "the index: run `ssah index` again, so that searches leave them out\n"
            f"all back: ssah duplicates {quoted(shown(index))} --restore {quoted(set_aside)}"
        )


def holding(folder: Path | None) -> Any:
    """Keep other processes out of a folder of photos that were set aside."""
    from contextlib import nullcontext

    from ssah_tf.system.lock import only_one

    return nullcontext() if folder is None else only_one(folder / ".lock", folder, False, "folder")


def label_place(index: str, labels: Path | None) -> "LabelPlace":
    """Where labels are: in a label file if one is named, or in the index.

    Raises:
        SsahError: There is no such index, or the file is no table.
    """
    from ssah_tf.data.label_table import LabelTable
    from ssah_tf.search.photo_index import PhotoIndex
    from ssah_tf.search.review.labels import IndexLabels, TableLabels

    if labels is None:
        return IndexLabels(index)
    with PhotoIndex.open(index) as opened:
        return TableLabels(LabelTable(labels), opened.roots)


def check_outside(folder: Path, roots: tuple[str, ...]) -> None:
    """Refuse to set photos aside where they would be indexed again.

    Raises:
        SsahError: The folder lies in one that was indexed, or holds one.
    """
    real = Path(os.path.realpath(folder))
    for root in map(os.path.realpath, roots):
        if real.is_relative_to(root) or Path(root).is_relative_to(real):
            raise SsahError(
                f"--set-aside {folder}: {root} is indexed, so photos there would be found again; "
                "name a folder elsewhere"
            )


def find(
    index: str, radius: int | None, min_ssim: float, progress: Callable[[int, int], None]
) -> "Duplicates":
    """The groups of an index."""
    from ssah_tf.search.duplicates import find_duplicates
    from ssah_tf.search.photo_index import PhotoIndex

    with PhotoIndex.open(index) as opened:
        radius = opened.codes.bits // 8 if radius is None else radius
        return find_duplicates(opened, radius, min_ssim, progress)


def make_review(
    found: "Duplicates",
    roots: tuple[str, ...],
    place: "LabelPlace",
    kept: "KeptGroups",
    aside: "SetAside | None",
    rules: "Rules",
    told: Callable[[Mapping[str, str]], None] = lambda places: None,
) -> "Review":
    """The review of groups; photos that are set aside are not called missing."""
    from ssah_tf.serve.review import Review

    known = aside.moved_from() if aside is not None else set[str]()
    lost = replace(found.lost, missing=tuple(p for p in found.lost.missing if p not in known))
    return Review(found.groups, roots, place, kept, aside, rules, str(lost), told)


def listed(
    index: str,
    radius: int | None,
    min_ssim: float,
    table: Path | None,
    as_json: bool,
    page: Path | None,
    show: bool,
) -> None:
    """Print the groups, and write them where that is asked for; see `duplicates`."""
    from ssah_tf.search.duplicates import as_rows, summary, write_table

    with progress_bar("comparing") as bar:
        found = find(index, radius, min_ssim, bar)
    groups, lost = found.groups, found.lost
    if as_json:
        typer.echo(json.dumps(list(as_rows(groups)), indent=1))
    else:
        for row in as_rows(groups):
            if row["kind"] == "first":
                typer.echo(f"group {row['group']}")
            own = row["kind"] not in ("first", "copy", "link")
            alike = f"{row['ssim']:.3f} {row['distance']:3d}" if own else ""
            typer.echo(f"  {row['kind']:8} {alike:9}  {printable(row['path'])}")
        typer.echo(summary(groups))
    if table is not None:
        write_table(table, groups)
        typer.echo(f"table: {table}", err=True)
    if page is not None or show:
        from ssah_tf.search.pages import write_duplicates

        words = f"{summary(groups)} {lost}." if lost else summary(groups)
        make_page(lambda path: write_duplicates(path, groups, words), page, show)
    if lost:
        typer.echo(str(lost), err=True)
        raise typer.Exit(3)


def put_back(folder: Path, index: str | None, labels: Path | None) -> None:
    """Put back all that was set aside in a folder; see `duplicates`."""
    from ssah_tf.data.label_table import LabelTable
    from ssah_tf.search.review.labels import TableLabels
    from ssah_tf.search.review.set_aside import SetAside

    if not (folder / "set_aside.jsonl").is_file():
        raise SsahError(f"{folder}: nothing was set aside here (there is no set_aside.jsonl)")
    if index is not None:
        place: LabelPlace | None = label_place(index, labels)
    else:
        place = None if labels is None else TableLabels(LabelTable(labels), ())
    with resumable(SAME_AGAIN), holding(folder), progress_bar("restoring") as bar:
        aside = SetAside(folder, place)
        given = sum(len(step.labels) for step in aside.steps)
        photos, said = aside.restore(bar)
    for line in said:
        typer.echo(printable(line), err=True)
    typer.echo(f"{photos:,} photos are back")
    if given and place is None:
        typer.echo(
            f"{given:,} photos that were kept have the labels of the others still: with INDEX "
            "those are put back, too",
            err=True,
        )
    if said:
        raise typer.Exit(3)
