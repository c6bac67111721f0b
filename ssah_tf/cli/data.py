"""The commands of `ssah data`: check image sets, write them as files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssah_tf.cli.extras import import_tensorflow, need
from ssah_tf.cli.folders import Exclude, patterns, print_passed_over

app = typer.Typer(
    help="Check image sets, or write them as files.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("check")
def data_check(
    data: Annotated[
        str,
        typer.Argument(help="Check this folder of images, keras:NAME, tfds:NAME, or fashion."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|none",
            help="Read labels from this file: .csv, .jsonl, or research lists; with `none` folders "
            "are no classes.",
        ),
    ] = None,
    exclude: Exclude = None,
    near: Annotated[bool, typer.Option(help="Look for near duplicates, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with code 3 on warnings, too.")] = False,
) -> None:
    """Check an image set: counts, bad files, copies, leaks, names.

    Exit code 0: nothing that makes numbers wrong; 3: something that does; 1: cannot be used.
    """
    need("train", "ssah data check")
    from ssah_tf.data.check import check_data
    from ssah_tf.data.sources.by_name import DOWNLOADED, load_images
    from ssah_tf.training.tables import print_data_report

    if data.startswith(DOWNLOADED):
        import_tensorflow()
    source = None if labels is None else str(labels)
    loaded = load_images(data, source, patterns(exclude))
    report = check_data(loaded, near)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=1))
        print_passed_over(loaded.passed)
    else:
        print_data_report(report)
    if report.errors() or (strict and report.warnings()):
        raise typer.Exit(3)


@app.command("export")
def data_export(
    data: Annotated[str, typer.Argument(help="Write this set: fashion, keras:NAME or tfds:NAME.")],
    folder: Annotated[Path, typer.Argument(help="Make this folder.")],
) -> None:
    """Write a set that has no files as PNG files in class folders."""
    from ssah_tf.data.sources.by_name import DOWNLOADED, load_images
    from ssah_tf.data.write_folders import write_class_folders

    if data.startswith(DOWNLOADED):
        need("train", f"ssah data export {data}")
        import_tensorflow()
    images = load_images(data).images
    typer.echo(f"{write_class_folders(images, folder):,} images: {folder}")
