"""The command `ssah`. Nothing heavy is imported before a command needs it."""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ssah_tf import cli_search
from ssah_tf.errors import SsahError
from ssah_tf.printable import printable
from ssah_tf.serve import command as cli_serve
from ssah_tf.terminal import SAME_AGAIN, progress_bar, resumable
from ssah_tf.version import __version__

app = typer.Typer(
    help="Learn compact binary hash codes for image search from a few labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: One module of each extra, by which its presence is known.
EXTRAS = {
    "train": (
        "tensorflow",
        "keras",
        "matplotlib",
        "tensorboard",
        "pydantic",
        "yaml",
        "jinja2",
        "imagehash",
        "tensorflow_serving",
    )
}

data_app = typer.Typer(help="Look at image sets, write them as files.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a value, e.g. model.bits=64."),
]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Learn compact binary hash codes for image search from a few labels."""
    if show:
        typer.echo(f"ssah-tf {__version__}")
        raise typer.Exit


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Built-in recipe or YAML file; default: fashion.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of images, keras:NAME or tfds:NAME; the default recipe is then folder."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label file for --data: .csv, .jsonl, or research lists."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Run folder to make; default: runs/<recipe>.")
    ] = None,
    self_train: Annotated[
        Path | None,
        typer.Option(
            help="Finished run folder: train on its images, and on labels that its encoder gives."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run folder.")
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Number of GPUs of this host; all that are found by default."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train a recipe, then evaluate the encoder that validation selected.

    Where TF_CONFIG names several workers this is one of them; --output is the same for all.
    """
    need("train", "ssah train")
    import_tensorflow()
    from ssah_tf.training import evaluate as evaluation
    from ssah_tf.training import tables
    from ssah_tf.training import train as training
    from ssah_tf.training.build import build_images
    from ssah_tf.training.devices import is_chief, make_strategy, place_among_workers
    from ssah_tf.training.run import Run

    if not (output or resume) and place_among_workers()[1] > 1:
        raise SsahError("TF_CONFIG names several workers: give all the same run folder, --output")
    make_strategy(devices)  # before anything else of TensorFlow
    if resume is not None:
        if recipe or data or labels or output or self_train or overrides:
            raise SsahError("--resume takes everything from the run folder: name nothing else")
        run = Run.open(resume)
        loaded = build_images(run.recipe)
    else:
        chosen = recipe or ("folder" if data or self_train else "fashion")
        run, loaded = start_run(chosen, data, labels, output, overrides, self_train)
    images = tell_start(run, loaded) if is_chief() else loaded.images
    with resumable(f"go on with: ssah train --resume {run.folder}"):
        training.train(run, images, devices)
        if not is_chief():
            return
        report = evaluation.evaluate(run, images)
    tables.print_report(report)
    if (stored := tables.stored_rows(run.recipe)) is not None:
        tables.print_stored_rows(stored)
    typer.echo(f"encoder: {run.model_path}\nreport: {run.report_path}")


@app.command()
def baseline(
    data: Annotated[str, typer.Option(help="Folder of images, keras:NAME, tfds:NAME, or fashion.")],
    labels: Annotated[
        Path | None, typer.Option(help="Label file: .csv, .jsonl, or research lists.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Run folder to make; default: runs/baseline.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Measure what needs no training: a pretrained backbone, PCA, a rotation, and signs."""
    need("train", "ssah baseline")
    import_tensorflow()
    from ssah_tf.training import evaluate as evaluation
    from ssah_tf.training import tables
    from ssah_tf.training import train as training
    from ssah_tf.training.devices import refuse_workers

    refuse_workers("ssah baseline")
    run, loaded = start_run("baseline", data, labels, output, overrides)
    images = tell_start(run, loaded)
    training.train(run, images)
    tables.print_report(evaluation.evaluate(run, images))
    typer.echo(f"encoder: {run.model_path}\nreport: {run.report_path}")


def start_run(recipe: str, data, labels, output, overrides, self_train=None):
    """Make a run folder of a recipe and what the command line changes in it; the run, its images.

    Raises:
        SsahError: Labels without images, images beside a run that has its own; or see
            `training.train.start`.
    """
    from ssah_tf.training import train as training
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.run import new_run_folder

    changes = list(overrides or [])
    if self_train is not None:
        from ssah_tf.training.self_training import lessons_of

        if data is not None or labels is not None:
            raise SsahError("--self-train takes images and labels from the run: name no --data")
        changes = [*lessons_of(self_train), *changes]
    if labels is not None and data is None:
        raise SsahError("--labels belongs to a folder of images: name it with --data")
    if data is not None:
        changes.append(f"data.source={quoted(data)}")
    if labels is not None:
        changes.append(f"data.labels={quoted(str(labels))}")
    chosen = load_recipe(recipe, tuple(changes))
    return training.start(chosen, output or new_run_folder(Path("runs"), chosen.name))


def tell_start(run, loaded):
    """Say what is odd about the images, the protocol and the run folder; give the images, held."""
    tell_findings(loaded)
    typer.echo(f"{run.split.protocol}\nrun folder: {run.folder}")
    return loaded.images.hold(run.recipe.data.image_size, run.recipe.data.cache_mb)


def quoted(source: str) -> str:
    """A source as a value in YAML, paths made absolute; a folder may be called 2024 or "a: b"."""
    from ssah_tf.data.sources import DOWNLOADED

    built_in = source == "fashion" and not Path(source).exists()
    if not built_in and not source.startswith(DOWNLOADED):
        source = str(Path(source).resolve())
    return json.dumps(source, ensure_ascii=False)


def tell_findings(loaded) -> None:
    """Say which files were skipped, the first by name, and what else is odd about the images."""
    from ssah_tf.data.check import check_data

    shown = 20
    for reason in list(loaded.bad.values())[:shown]:
        typer.echo(f"skipped: {reason}", err=True)
    if len(loaded.bad) > shown:
        typer.echo(f"skipped: {len(loaded.bad) - shown} more; see `ssah data check`", err=True)
    if loaded.missing:
        typer.echo(f"without a file: {loaded.missing[0]!r}, for example", err=True)
    report = check_data(loaded, near=False)
    for line in [*report.warnings(), *report.errors()]:
        typer.echo(f"data: {line}; see `ssah data check`", err=True)


@data_app.command("check")
def data_check(
    data: Annotated[
        str, typer.Argument(help="Folder of images, keras:NAME, tfds:NAME, or fashion.")
    ],
    labels: Annotated[
        Path | None, typer.Option(help="Label file: .csv, .jsonl, or research lists.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Look for near duplicates, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 3 on warnings, too.")] = False,
) -> None:
    """Look an image set over: counts, bad files, copies, leaks, names.

    Exit code 0: nothing that makes numbers wrong; 3: something that does; 1: cannot be used.
    """
    need("train", "ssah data check")
    from ssah_tf.data.check import check_data
    from ssah_tf.data.sources import DOWNLOADED, load_images
    from ssah_tf.training.tables import print_data_report

    if data.startswith(DOWNLOADED):
        import_tensorflow()
    report = check_data(load_images(data, None if labels is None else str(labels)), near)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=1))
    else:
        print_data_report(report)
    if report.errors() or (strict and report.warnings()):
        raise typer.Exit(3)


@data_app.command("export")
def data_export(
    data: Annotated[str, typer.Argument(help="fashion, keras:NAME or tfds:NAME.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
) -> None:
    """Write a set that has no files as PNG files in class folders."""
    from ssah_tf.data.sources import DOWNLOADED, load_images
    from ssah_tf.data.write_folders import write_class_folders

    if data.startswith(DOWNLOADED):
        need("train", f"ssah data export {data}")
        import_tensorflow()
    images = load_images(data).images
    typer.echo(f"{write_class_folders(images, folder):,} images: {folder}")


@app.command()
def evaluate(run: Annotated[Path, typer.Argument(help="Run folder.")]) -> None:
    """Measure retrieval of a run's queries against its database."""
    need("train", "ssah evaluate")
    import_tensorflow()
    from ssah_tf.training import evaluate as evaluation
    from ssah_tf.training import tables
    from ssah_tf.training.run import Run

    opened = Run.open(run)
    tables.print_report(evaluation.evaluate(opened))
    typer.echo(f"report: {opened.report_path}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Evaluated run folders.")],
    output: Annotated[
        Path | None, typer.Option(help="Page of several runs; default: comparison.html.")
    ] = None,
) -> None:
    """Make the page of a run again, or one page that compares several runs."""
    need("train", "ssah report")
    import_tensorflow()
    from ssah_tf.training.build import build_images
    from ssah_tf.training.report import write_comparison, write_report
    from ssah_tf.training.run import Run

    opened = [Run.open(folder) for folder in runs]
    if len(opened) > 1:
        page = output or Path("comparison.html")
        write_comparison(opened, page)
    else:
        if output is not None:
            raise SsahError("--output is for several runs: the page of one lies in its folder")
        write_report(opened[0], build_images(opened[0].recipe).images)
        page = opened[0].report_path
    typer.echo(f"report: {page}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Evaluated run folder.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder to make or replace; default: RUN/export.")
    ] = None,
    opset: Annotated[int, typer.Option(min=13, max=18, help="ONNX opset.")] = 18,
    int8: Annotated[bool, typer.Option(help="Write an ONNX file in 8-bit integers, too.")] = False,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="Largest fall in mAP for which --int8 is written.")
    ] = 0.01,
    force: Annotated[bool, typer.Option(help="Write --int8 whatever the fall.")] = False,
) -> None:
    """Turn a run into an ONNX file and a SavedModel, proven equal to the trained encoder."""
    need("train", "ssah export")
    import_tensorflow()
    from ssah_tf.export.export import export as write
    from ssah_tf.training.build import build_images
    from ssah_tf.training.run import Run

    opened = Run.open(run)
    recipe = opened.recipe
    images = build_images(recipe).images
    images = images.hold(recipe.data.image_size, recipe.data.cache_mb)
    about = write(
        opened,
        images,
        output or run / "export",
        opset,
        int8=int8,
        max_drop=max_drop,
        force=force,
    )
    proof = about["verified"]
    typer.echo(
        f"model id {about['model_id']}: {told(proof)} differ from the trained "
        f"encoder on {proof['images']:,} images, by {' and '.join(proof['artefacts'])}"
    )
    if int8:
        integers = about["int8"]
        typer.echo(
            f"int8: model id {integers['model_id']}, {integers['bits_changed']:.2%} of the bits "
            f"differ, mAP@all {integers['map']:.4f} instead of {integers['map_float']:.4f}"
        )
    typer.echo(f"export: {output or run / 'export'}")


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="What `ssah export` wrote.")]) -> None:
    """Check an export: its files by checksum, its codes on the images that travel with it."""
    if importlib.util.find_spec("tensorflow") is not None:
        import_tensorflow()
    from ssah_tf.export.verify import verify as check

    about = check(folder)
    typer.echo(
        f"model id {about['model_id']}: files unchanged; {told(about['verified'])} differ, "
        f"by {' and '.join(about['verified']['artefacts'])}"
    )
    if "int8_bits" in about["verified"]:
        typer.echo(f"int8: {about['verified']['int8_bits']:,} bits differ, as they may")


def told(proof: dict) -> str:
    """How many bits differ, and that those which do hang on rounding."""
    differ = max(proof["artefacts"].values())
    rounding = " (their logits 0 but for rounding)" if differ else ""
    return f"{differ:,} of {proof['bits']:,} bits{rounding}"


@app.command()
def encode(
    encoder: Annotated[Path, typer.Argument(help="What `ssah export` wrote, or its ONNX file.")],
    sources: Annotated[list[str], typer.Argument(help="Image files, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            help="codes.npy, codes.parquet, or a folder of shards; - prints hexadecimal lines."
        ),
    ] = Path("codes.npy"),
    threads: Annotated[
        int, typer.Option(min=0, help="Of ONNX Runtime; 0: one a core. With ray: CPUs of a task.")
    ] = 0,
    engine: Annotated[
        str, typer.Option(help="threads, or ray: all machines of a Ray cluster.")
    ] = "threads",
    address: Annotated[
        str | None,
        typer.Option(help="Of that cluster, HOST:PORT; default: one on this machine alone."),
    ] = None,
    shard: Annotated[int, typer.Option(min=1, help="Images a shard.")] = 1024,
) -> None:
    """Write the codes of images; interrupted, the same command goes on where it was."""
    from ssah_tf.encode import choose_engine, encode_files, encode_readable, find_images
    from ssah_tf.encoder import Encoder

    chosen = choose_engine(engine, address, threads)
    loaded = Encoder.load(encoder, threads=threads)
    paths = find_images(sources)
    if str(output) == "-":
        if engine != "threads":
            raise SsahError("--output - prints codes as they come: leave --engine out")
        for path in paths:
            codes, reasons = encode_readable(loaded, [path])
            if reasons[0]:
                typer.echo(f"skipped: {reasons[0]}", err=True)
            else:
                typer.echo(f"{codes[0].tobytes().hex()} {printable(path)}")
        return
    with resumable(SAME_AGAIN), progress_bar("encoding") as bar:
        done = encode_files(
            loaded,
            paths,
            output,
            lambda count: bar(count, len(paths)),
            engine=chosen,
            size=shard,
        )
    shown = 20
    for reason in list(done.bad.values())[:shown]:
        typer.echo(f"skipped: {reason}", err=True)
    if len(done.bad) > shown:
        typer.echo(f"skipped: {len(done.bad) - shown:,} more, all in {done.listed}", err=True)
    typer.echo(f"{done.images:,} codes of {loaded.bits} bits, model {loaded.model_id}: {output}")


app.add_typer(cli_search.app)
app.add_typer(cli_serve.app)


@app.command()
def ablation(
    recipe: Annotated[str, typer.Argument(help="Built-in recipe or YAML file.")] = "fashion",
    output: Annotated[
        Path | None, typer.Option(help="Folder of the runs; default: runs/ablation-<recipe>.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of each row.")] = 3,
    overrides: Overrides = None,
) -> None:
    """Train the recipe beside supervised only and random deformation, with several seeds."""
    need("train", "ssah ablation")
    import_tensorflow()
    from ssah_tf.training import tables
    from ssah_tf.training.ablation import ablate

    folder = output or Path("runs") / f"ablation-{Path(recipe).stem}"
    result = ablate(recipe, folder, tuple(range(seeds)), tuple(overrides or ()))
    tables.print_stored_rows(result)


def need(extra: str, command: str) -> None:
    """Refuse a command whose extra is not installed.

    Raises:
        SsahError: A module of the extra is missing.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise SsahError(f"{command} needs {missing[0]}: pip install 'ssah-tf[{extra}]'")


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


def main() -> None:
    """Run the command line; what a user or the machine got wrong is one line on stderr.

    The exit code is 1, and 128 and its number for a signal: 130 after Ctrl-C. A traceback is left
    to bugs of ours.
    """
    try:
        app()
    except SsahError as error:
        typer.echo(f"ssah: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        from ssah_tf.machine import refusal

        line = refusal(error)
        if line is None:
            raise
        typer.echo(f"ssah: {printable(line)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
