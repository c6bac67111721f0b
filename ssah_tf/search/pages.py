"""Pages with pictures, of a search or of duplicates: one file, no request to anywhere."""

import base64
import html
import io
import os
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.data.threads import decoder_pool
from ssah_tf.search.duplicates import Member
from ssah_tf.search.photo_index import Hit
from ssah_tf.system.errors import ImageError, SsahError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.text import printable

#: Side of a picture in pixels.
SIDE = 144
#: Pictures of one query or group that a page shows; a radius can have thousands within it.
MOST = 200

#: Groups that a page of duplicates shows.
GROUPS = 300

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1rem; margin: 0 0 .75rem; }}
section {{ border-top: 1px solid var(--line); padding: 1rem 0; }}
.row {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(9rem, 44%), 1fr));
  gap: .9rem; }}
figure {{ margin: 0; min-width: 0; }}
img, .gone {{ width: 100%; aspect-ratio: 1; max-width: 9rem; border-radius: .4rem;
  display: block; }}
.marked img {{ outline: 3px solid #3b82f6; outline-offset: 2px; }}
.gone {{ background: color-mix(in srgb, currentColor 12%, transparent); }}
figcaption {{ font-size: .8rem; overflow-wrap: anywhere; margin-top: .35rem; max-width: 9rem; }}
b {{ font-variant-numeric: tabular-nums; }}
</style></head><body>
<h1>{title}</h1>
<p>{intro}</p>
{sections}
</body></html>
"""


@dataclass(frozen=True)
class Figure:
    """A picture of a page.

    Attributes:
        path: Its file.
        caption: What stands below it in bold.
        labels: Names of its classes.
        marked: Whether it has a frame.
    """

    path: str
    caption: str
    labels: Sequence[str] = ()
    marked: bool = False


def write_gallery(
    path: Path,
    results: list[tuple[str, list[Hit]]],
    bits: int,
    by_appearance: bool = False,
    pictures: bool = True,
) -> None:
    """Write the page of a search.

    Args:
        path: The file.
        results: Each query's path or label, and what it finds.
        bits: Length of a code.
        by_appearance: Whether photos of one distance are in the order of appearance.
        pictures: Whether queries are pictures; labels else.

    Raises:
        RunError: The file cannot be written.
    """
    sections = []
    for query, near in results:
        figures = [Figure(query, "query", marked=True)] if pictures else []
        figures += [
            Figure(h.photo.path, bits_apart(h.distance), h.photo.labels) for h in near[:MOST]
        ]
        note = f"The nearest {MOST} of {len(near):,}" if len(near) > MOST else ""
        named = "" if pictures else printable(query)
        sections.append((". ".join(filter(None, (named, note))), figures))
    intro = (
        "The query first, then its neighbours by Hamming distance"
        if pictures
        else "Photos by the Hamming distance of their codes to that of the photos with a label"
    )
    intro += f", of {bits} bits."
    if by_appearance:
        intro += " Of photos at one distance those that look most alike come first."
    write_page(path, "What the search finds", intro, sections)


def write_duplicates(path: Path, groups: list[list[Member]], summary: str) -> None:
    """Write the page of near duplicates.

    Args:
        path: The file.
        groups: See `duplicates.find_duplicates`.
        summary: What was found, in a sentence.

    Raises:
        RunError: The file cannot be written.
    """
    sections = []
    for number, group in enumerate(groups[:GROUPS], start=1):
        figures = [
            Figure(m.photo.path, caption(m), m.photo.labels, m.kind == "first")
            for m in group[:MOST]
        ]
        shown = f", the first {MOST} of them here" if len(group) > MOST else ""
        sections.append((f"{number}: {len(group):,} photos{shown}", figures))
    if len(groups) > GROUPS:
        summary += f" This page shows the first {GROUPS} groups."
    write_page(path, "Near duplicates", summary, sections)


def caption(member: Member) -> str:
    """What a photo is to its group, in words."""
    if member.kind in ("near", "mirrored", "turned"):
        word = "" if member.kind == "near" else f"{member.kind}, "
        return f"{word}{member.ssim:.0%} alike, {bits_apart(member.distance)}"
    if member.kind == "burst":
        return f"of a burst, {bits_apart(member.distance)}"
    return {"first": "first", "copy": "exact copy", "link": "link to a copy"}[member.kind]


def write_page(
    path: Path, title: str, intro: str, sections: list[tuple[str, list[Figure]]]
) -> None:
    """Write a page of pictures in sections, each with a heading, which may be empty.

    Raises:
        RunError: The file cannot be written.
    """
    named = list({figure.path for _, figures in sections for figure in figures})
    pictures = dict(zip(named, decoder_pool().map(picture, named), strict=True))
    parts = []
    for heading, figures in sections:
        row = "".join(drawn(figure, pictures[figure.path]) for figure in figures)
        top = f"<h2>{html.escape(heading)}</h2>" if heading else ""
        parts.append(f'<section>{top}<div class="row">{row}</div></section>')
    page = PAGE.format(
        title=html.escape(title), intro=html.escape(intro), sections="\n".join(parts)
    )
    write_atomically(path, page.encode())


def bits_apart(distance: int) -> str:
    """A distance in words."""
    return "1 bit" if distance == 1 else f"{distance} bits"


def drawn(figure: Figure, image: str) -> str:
    """One picture with its caption; the whole path shows on a long look."""
    name = html.escape(printable("/".join(figure.path.split("/")[-2:])))
    full = html.escape(printable(figure.path), quote=True)
    shown = f'<img src="{image}" alt="{name}">' if image else '<div class="gone"></div>'
    named = html.escape(printable(", ".join(figure.labels)))
    labels = f"<br><i>{named}</i>" if named else ""
    kind = ' class="marked"' if figure.marked else ""
    return (
        f'<figure{kind} title="{full}">{shown}'
        f"<figcaption><b>{figure.caption}</b><br>{name}{labels}</figcaption></figure>"
    )


def page_to_open() -> Path:
    """A new file for a page that the user gave no name."""
    handle, name = tempfile.mkstemp(prefix="ssah-", suffix=".html")
    os.close(handle)
    return Path(name)


def open_page(page: Path) -> None:
    """Open a page in the browser of the user.

    Raises:
        SsahError: There is none.
    """
    if not webbrowser.open(page.resolve().as_uri()):
        raise SsahError(f"no browser found; the page is {page}")


def picture(path: str) -> str:
    """The central square of an image as a data URI, "" if it cannot be read any more."""
    try:
        image = Image.fromarray(decode(path, SIDE))
    except ImageError:
        return ""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
