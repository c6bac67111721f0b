"""Options that have no effect are refused, not passed over in silence."""

from collections.abc import Collection

import typer

from ssah_tf.system.errors import SsahError


def refuse_idle(
    ctx: typer.Context, why: str, *names: str, but: Collection[str] | None = None
) -> None:
    """Refuse what was typed though it has no effect beside other options.

    Args:
        ctx: Of the command.
        why: Ends the line that begins with the option.
        names: Parameters of the command that have no effect.
        but: The only ones that have an effect, in place of `names`.

    Raises:
        SsahError: One of them was given, be it with the value that it has by default.
    """
    for parameter in ctx.command.params:
        name = parameter.name or ""
        idle = name in names if but is None else name not in but
        source = ctx.get_parameter_source(name)
        if idle and source is not None and source.name == "COMMANDLINE":
            raise SsahError(f"{parameter.opts[0]} {why}")
