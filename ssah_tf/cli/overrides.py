"""What options of the command line change in a recipe."""

import json
from pathlib import Path

from ssah_tf.cli.folders import patterns
from ssah_tf.system.errors import SsahError


def overrides_of(
    data: str | None,
    labels: Path | None,
    overrides: list[str] | None,
    no_sample: bool = False,
    exclude: list[str] | None = None,
) -> tuple[str, ...]:
    """What the command line changes in a recipe, as overrides.

    Raises:
        SsahError: Labels without images.
    """
    from ssah_tf.data.sources.unlabelled import NONE

    changes = list(overrides or [])
    if labels is not None and data is None:
        raise SsahError("--labels belongs to a folder of images: name it with --data")
    if exclude:
        changes.append(f"data.exclude={in_yaml(patterns(exclude))}")
    if data is not None:
        changes.append(f"data.source={in_yaml(absolute(data))}")
    if labels is not None:
        named = str(labels)
        changes.append(f"data.labels={in_yaml(named if named == NONE else absolute(named))}")
    if no_sample:
        changes.append("data.keep_sample=false")
    return tuple(changes)


def absolute(source: str) -> str:
    """A source whose path, if it is one, is absolute."""
    from ssah_tf.data.sources.by_name import DOWNLOADED

    built_in = source == "fashion" and not Path(source).exists()
    return source if built_in or source.startswith(DOWNLOADED) else str(Path(source).resolve())


def in_yaml(value: str | list[str]) -> str:
    """Text as a value in YAML: a folder may be called 2024 or "a: b"."""
    return json.dumps(value, ensure_ascii=False)
