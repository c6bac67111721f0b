"""The commands `export` and `verify`."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from ssah_tf.cli.extras import import_tensorflow, need
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.runs import find_photos
from ssah_tf.cli.train import Moved
from ssah_tf.system.errors import SsahError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Export the encoder of this evaluated run folder.")],
    output: Annotated[
        Path | None, typer.Option(help="Make or replace this folder; RUN/export by default.")
    ] = None,
    opset: Annotated[
        int, typer.Option(min=13, max=18, help="Write the ONNX file in this opset.")
    ] = 18,
    int8: Annotated[
        bool,
        typer.Option(help="Write an ONNX file in 8-bit integers, too; with --litert, one of each."),
    ] = False,
    max_drop: Annotated[
        float, typer.Option(min=0.0, help="Refuse --int8 if mAP falls by more than this.")
    ] = 0.01,
    force: Annotated[bool, typer.Option(help="Write --int8 whatever the fall.")] = False,
    logits: Annotated[
        bool, typer.Option(help="Write a file from floats to logits, too, for other runtimes.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Write a file for just so many images, too.")
    ] = None,
    litert: Annotated[
        bool, typer.Option(help="Write a file for LiteRT, too: phones and small boards.")
    ] = False,
    data: Moved = None,
) -> None:
    """Turn a run into an ONNX file and a SavedModel, proven equal to the trained encoder.

    Of a backbone that is an ONNX file no SavedModel is made, and the opset is that of the file.

    Without its photos, it is proven on those images that the run keeps.
    """
    if not int8:
        refuse_idle(ctx, "goes with --int8", "max_drop", "force")
    if force:
        refuse_idle(ctx, "has no effect with --force, which takes any fall", "max_drop")
    need("train", "ssah export")
    if litert:
        need("litert", "--litert")
    import_tensorflow()
    from ssah_tf.data.decode import RULE
    from ssah_tf.export.export import export as write
    from ssah_tf.export.verify import INTEGERS
    from ssah_tf.training.evaluate import measured_by_rule
    from ssah_tf.training.run import Run

    opened = Run.open(run)
    if opened.recipe.model.backbone.startswith("onnx:"):
        refuse_idle(ctx, "has no effect: that of the backbone's file is kept", "opset")
    opened, found = find_photos(opened, data)
    spec = opened.recipe.data
    images = None if found.images is None else found.images.hold(spec.image_size, spec.cache_mb)
    about = write(
        opened,
        images,
        output or run / "export",
        opset,
        int8=int8,
        max_drop=max_drop,
        force=force,
        logits=logits,
        batch=batch,
        litert=litert,
    )
    proof = about["verified"]
    typer.echo(
        f"model id {about['model_id']}: {difference_message(proof)} differ from the trained "
        f"encoder on {compared_message(proof)}, by {' and '.join(proof['artefacts'])}"
    )
    for key, file in INTEGERS.items():
        if key in about:
            integers = about[key]
            typer.echo(
                f"{file}: model id {integers['model_id']}, {integers['bits_changed']:.2%} of the "
                f"bits differ, mAP@all {integers['map']:.4f} instead of "
                f"{integers['map_float']:.4f} over {integers['queries']:,} queries and "
                f"{integers['database']:,} images"
            )
    if "saved_model" in about:
        typer.echo(f"no SavedModel: {about['saved_model']}", err=True)
    rule = measured_by_rule(opened)
    if rule != RULE and images is not None and images.root is not None:
        typer.echo(
            f"{run}: its numbers are of photos decoded by rule {rule}, this export decodes by rule "
            f"{RULE}: run `ssah evaluate {run}` and export again for numbers of its own",
            err=True,
        )
    typer.echo(f"export: {output or run / 'export'}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Check this folder, written by `ssah export`.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Check an ONNX file that was made of the encoder instead."),
    ] = None,
    codes: Annotated[
        Path | None,
        typer.Option(help="Check codes of the images in reference.npz, .npy or a line each."),
    ] = None,
) -> None:
    """Check an export: its files by checksum, its codes on the images that travel with it.

    With --model or --codes: count the bits in which other files or runtimes give other codes. Fails
    if any of them is no matter of rounding.
    """
    if model is not None and codes is not None:
        raise SsahError("--model and --codes: name one of them")
    if model is not None or codes is not None:
        verify_others(folder, model, codes)
        return
    if importlib.util.find_spec("tensorflow") is not None:
        import_tensorflow()
    from ssah_tf.export.verify import INTEGERS
    from ssah_tf.export.verify import verify as check

    about = check(folder)
    proof = about["verified"]
    typer.echo(
        f"model id {about['model_id']}: files unchanged; {difference_message(proof)} differ, "
        f"by {' and '.join(proof['artefacts'])}"
    )
    for key, file in INTEGERS.items():
        if f"{key}_bits" in proof:
            typer.echo(f"{file}: {proof[f'{key}_bits']:,} bits differ, as they may")


def verify_others(folder: Path, model: Path | None, codes: Path | None) -> None:
    """Count the bits in which a file or codes of others differ from an export.

    Raises:
        SsahError: Bits differ that are no matter of rounding, or something cannot be read.
    """
    from ssah_tf.export.onnx_codes import codes_by
    from ssah_tf.export.verify import read_codes, read_reference, verify_codes

    model_id = None
    if model is not None:
        found, model_id = codes_by(model, read_reference(folder).images)
    elif codes is not None:
        found = read_codes(codes)
    result = verify_codes(folder, found)
    line = f"{model or codes}: {result['differ']:,} of {result['bits']:,} bits differ from {folder}"
    if not result["decided"]:
        typer.echo(line + (", their logits 0 but for rounding" if result["differ"] else ""))
        return
    if model_id == result["model_id"]:
        line += "; same id, other codes: give it another, and never mix codes of the two"
    raise SsahError(line)


def compared_message(proof: dict) -> str:
    """How many images an export was compared on, and where they came from."""
    parts = [
        f"{proof['images']:,} images",
        *([f"{proof['kept']:,} of them kept by the run"] if proof["kept"] else []),
        *([f"{proof['made_up']:,} of them made up"] if proof["made_up"] else []),
    ]
    return ", ".join(parts)


def difference_message(proof: dict) -> str:
    """How many bits differ, and that those which do hang on rounding."""
    differ = max(proof["artefacts"].values())
    rounding = " (their logits 0 but for rounding)" if differ else ""
    return f"{differ:,} of {proof['bits']:,} bits{rounding}"
