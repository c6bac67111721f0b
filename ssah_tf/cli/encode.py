"""The command `encode`."""

from pathlib import Path
from typing import Annotated

import typer

from ssah_tf.cli.extras import Runtime
from ssah_tf.cli.folders import Exclude, patterns, print_passed_over
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.progress import (
    SAME_AGAIN,
    SHOWN,
    progress_bar,
    resumable,
    tell_damaged,
    tell_flat,
    tell_skipped,
)
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

app = typer.Typer(rich_markup_mode=None)


@app.command()
def encode(
    ctx: typer.Context,
    encoder: Annotated[Path, typer.Argument(help="Use the encoder of this export, or ONNX file.")],
    sources: Annotated[
        list[str], typer.Argument(help="Encode these image files, and those of these folders.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="Write codes.npy, codes.parquet, or a folder of shards; "
            "- prints hexadecimal lines."
        ),
    ] = Path("codes.npy"),
    threads: Annotated[
        int,
        typer.Option(
            min=0,
            help="Use so many threads of the runtime, 0 for one a core; with ray, CPUs a task.",
        ),
    ] = 0,
    engine: Annotated[
        str, typer.Option(help="Choose threads, or ray: all machines of a Ray cluster.")
    ] = "threads",
    address: Annotated[
        str | None,
        typer.Option(
            help="Connect to the cluster at HOST:PORT; by default one is begun on this machine."
        ),
    ] = None,
    shard: Annotated[int, typer.Option(min=1, help="Put so many images into a shard.")] = 1024,
    exclude: Exclude = None,
    runtime: Runtime = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read all files again, those that look unchanged, too; encode changed."
        ),
    ] = False,
) -> None:
    """Write the codes of images; interrupted, the same command goes on where it was."""
    from ssah_tf.encoding.encode import choose_engine, encode_files, find_images
    from ssah_tf.encoding.encoder import Encoder
    from ssah_tf.encoding.records import encode_readable
    from ssah_tf.metrics.hamming import code_bytes

    to_stdout = str(output) == "-"
    if to_stdout:
        why = "has no effect with --output -, which prints codes as they come"
        refuse_idle(ctx, why, "engine", "address", "shard", "check")
    chosen = choose_engine(engine, address, threads)
    loaded = Encoder.load(encoder, runtime=runtime, threads=threads)
    if engine != "threads" and loaded.runtime != "onnxruntime":
        raise SsahError("--runtime: other machines run the encoder in onnxruntime; leave it out")
    found = find_images(sources, patterns(exclude))
    paths = found.paths
    if to_stdout:
        for path in paths:
            codes, reasons, damaged = encode_readable(loaded, [path])
            tell_damaged(damaged)
            if reasons[0]:
                typer.echo(f"skipped: {printable(reasons[0])}", err=True)
            else:
                code = codes[0, : code_bytes(loaded.bits)]
                typer.echo(f"{code.tobytes().hex()} {printable(path)}")
        print_passed_over(found.passed)
        return
    with resumable(SAME_AGAIN), progress_bar("encoding") as bar:
        done = encode_files(
            loaded,
            paths,
            output,
            lambda count: bar(count, len(paths)),
            engine=chosen,
            size=shard,
            check=check,
        )
    tell_skipped(done.bad.values(), f", all in {done.listed}")
    for reason in list(done.resumed.gone.values())[:SHOWN]:
        typer.echo(f"its older code stays: {reason}", err=True)
    if len(done.resumed.gone) > SHOWN:
        typer.echo(f"older codes stay: {len(done.resumed.gone) - SHOWN:,} more files", err=True)
    print_passed_over(found.passed)
    tell_damaged(done.damaged.values())
    tell_flat(done.flat)
    typer.echo(f"{done.images:,} codes of {loaded.bits} bits, model {loaded.model_id}: {output}")
    if line := done.resumed.line():
        typer.echo(line)
