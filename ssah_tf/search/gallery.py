"""A page of queries and what was found: one file, no request to anywhere."""

import base64
import html
import io
import os
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ssah_tf.data.image_set import decoder_pool
from ssah_tf.data.images import decode, printable
from ssah_tf.errors import ImageError, SsahError
from ssah_tf.files import write_atomically
from ssah_tf.search.photo_table import Photo

#: Side of a picture in pixels.
SIDE = 144
#: Pictures that a page shows of one query; a radius can have thousands within it.
MOST = 200

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the search finds</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }}
section {{ border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  padding: 1rem 0; }}
.row {{ display: flex; flex-wrap: wrap; gap: .75rem; }}
figure {{ margin: 0; width: 9rem; }}
figure.query {{ margin-right: 1.25rem; }}
img, .gone {{ width: 9rem; height: 9rem; border-radius: .4rem; display: block; }}
.query img {{ outline: 3px solid #3b82f6; outline-offset: 2px; }}
.gone {{ background: color-mix(in srgb, currentColor 12%, transparent); }}
figcaption {{ font-size: .8rem; overflow-wrap: anywhere; margin-top: .3rem; }}
b {{ font-variant-numeric: tabular-nums; }}
</style></head><body>
<h1>What the search finds</h1>
<p>The query first, then its neighbours by Hamming distance, of {bits} bits.</p>
{sections}
</body></html>
"""


def write_gallery(
    path: Path, results: list[tuple[str, list[tuple[Photo, int]]]], bits: int
) -> None:
    """Write the page.

    Args:
        path: The file.
        results: Each query's path, and its neighbours with their distances.
        bits: Length of a code.

    Raises:
        RunError: The file cannot be written.
    """
    named = {n for query, near in results for n in (query, *(p.path for p, _ in near[:MOST]))}
    pictures = dict(zip(named, decoder_pool().map(picture, named), strict=True))
    sections = []
    for query, near in results:
        figures = [figure(query, pictures[query], "query", "query")]
        figures += [
            figure(p.path, pictures[p.path], bits_apart(distance), "", p.labels)
            for p, distance in near[:MOST]
        ]
        rest = f"<p>The nearest {MOST} of {len(near):,}.</p>" if len(near) > MOST else ""
        sections.append(f'<section><div class="row">{"".join(figures)}</div>{rest}</section>')
    write_atomically(path, PAGE.format(bits=bits, sections="\n".join(sections)).encode())


def bits_apart(distance: int) -> str:
    """A distance in words."""
    return "1 bit" if distance == 1 else f"{distance} bits"


def figure(path: str, image: str, caption: str, kind: str, labels: Sequence[str] = ()) -> str:
    """One picture with its caption."""
    name = html.escape(printable(os.path.basename(path)))
    full = html.escape(printable(path), quote=True)
    shown = f'<img src="{image}" alt="{name}">' if image else '<div class="gone"></div>'
    named = f"<br><i>{html.escape(printable(', '.join(labels)))}</i>" if labels else ""
    return (
        f'<figure class="{kind}" title="{full}">{shown}'
        f"<figcaption><b>{caption}</b><br>{name}{named}</figcaption></figure>"
    )


def page_to_open(what: str) -> Path:
    """A new file for a page that the user gave no name."""
    handle, name = tempfile.mkstemp(prefix=f"ssah-{what}-", suffix=".html")
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
