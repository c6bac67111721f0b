"""The command `ssah`. Nothing heavy is imported before a command needs it."""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ssah_tf.errors import SsahError
from ssah_tf.version import __version__

app = typer.Typer(
    help="Learn compact binary hash codes for image search from a few labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: One module of each extra, by which its presence is known.
EXTRAS = {"train": ("tensorflow", "keras", "matplotlib", "tensorboard", "pydantic", "yaml")}

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
        Path | None,
        typer.Option(help="Folder of class folders; with it the default recipe is folder."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Run folder to make; default: runs/<recipe>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run folder.")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Number of GPUs; all that are found by default.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train a recipe, then evaluate the encoder that validation selected."""
    need("train", "ssah train")
    from ssah_tf.training import evaluate as evaluation
    from ssah_tf.training import tables
    from ssah_tf.training import train as training
    from ssah_tf.training.build import build_images
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.run import Run, new_run_folder

    if resume is not None:
        if recipe or data or output or overrides:
            raise SsahError("--resume takes everything from the run folder: name nothing else")
        run = Run.open(resume)
        images, bad = build_images(run.recipe)
    else:
        changes = list(overrides or [])
        if data is not None:  # quoted, since a folder may be called 2024 or "a: b"
            changes.append(f"data.source={json.dumps(str(data.resolve()), ensure_ascii=False)}")
        chosen = load_recipe(recipe or ("folder" if data else "fashion"), tuple(changes))
        folder = output or new_run_folder(Path("runs"), chosen.name)
        run, images, bad = training.start(chosen, folder)
    for reason in bad.values():
        typer.echo(f"skipped: {reason}", err=True)
    typer.echo(f"{run.split.protocol}\nrun folder: {run.folder}")
    try:
        training.train(run, images, devices)
    except KeyboardInterrupt:
        raise SsahError(f"interrupted; go on with: ssah train --resume {run.folder}") from None
    tables.print_report(evaluation.evaluate(run, images))
    if (stored := tables.stored_rows(run.recipe)) is not None:
        tables.print_stored_rows(stored)
    typer.echo(f"encoder: {run.model_path}")


@app.command()
def evaluate(run: Annotated[Path, typer.Argument(help="Run folder.")]) -> None:
    """Measure retrieval of a run's queries against its database."""
    need("train", "ssah evaluate")
    from ssah_tf.training import evaluate as evaluation
    from ssah_tf.training import tables
    from ssah_tf.training.run import Run

    tables.print_report(evaluation.evaluate(Run.open(run)))


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
    from ssah_tf.training import tables
    from ssah_tf.training.ablation import ablate

    folder = output or Path("runs") / f"ablation-{Path(recipe).stem}"
    result = ablate(recipe, folder, tuple(range(seeds)), tuple(overrides or ()))
    tables.print_stored_rows(result)
    typer.echo(f"Protocol of the first row and seed: {result['protocol']}.")


def need(extra: str, command: str) -> None:
    """Refuse a command whose extra is not installed.

    Raises:
        SsahError: A module of the extra is missing.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise SsahError(f"{command} needs {missing[0]}: pip install 'ssah-tf[{extra}]'")
    if extra == "train":
        import_tensorflow()


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
    """Run the command line; a user's mistake is one line on stderr and exit code 1."""
    try:
        app()
    except SsahError as error:
        typer.echo(f"ssah: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
