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
    changes = list(overrides or [])
    if labels is not None and data is None:
        raise SsahError("--labels belongs to a folder of images: name it with --data")
    if exclude:
        changes.append(f"data.exclude={json.dumps(patterns(exclude), ensure_ascii=False)}")
    if data is not None:
        changes.append(f"data.source={quoted(data)}")
    if labels is not None:
        changes.append(f"data.labels={quoted(str(labels))}")
    if no_sample:
        changes.append("data.keep_sample=false")
    return tuple(changes)


def quoted(source: str) -> str:
    """A source as a value in YAML, paths made absolute; a folder may be called 2024 or "a: b"."""
    from ssah_tf.data.sources.by_name import DOWNLOADED

    built_in = source == "fashion" and not Path(source).exists()
    if not built_in and not source.startswith(DOWNLOADED):
        source = str(Path(source).resolve())
    return json.dumps(source, ensure_ascii=False)
