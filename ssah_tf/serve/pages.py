"""The pages of the service: files of this package, read once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from ssah_tf.data.formats import media_read
from ssah_tf.serve.limits import OPEN, PAGE, Limits

#: Path -> file below `web`, its media type, and its limits: what the page for the token needs is
#: open.
Files = Mapping[str, tuple[str, str, Limits]]
SHARED: Files = {
    "/login": ("login.html", "text/html", OPEN),
    "/static/style.css": ("style.css", "text/css", OPEN),
    "/static/login.js": ("login.js", "text/javascript", OPEN),
    "/static/common.js": ("common.js", "text/javascript", OPEN),
    "/static/icon.svg": ("icon.svg", "image/svg+xml", OPEN),
}
SEARCH_PAGES: Files = {
    **SHARED,
    "/": ("search.html", "text/html", PAGE),
    "/docs": ("docs.html", "text/html", PAGE),
    "/static/search.js": ("search.js", "text/javascript", OPEN),
    "/static/docs.js": ("docs.js", "text/javascript", OPEN),
}
LABEL_PAGES: Files = {
    **SHARED,
    "/": ("label.html", "text/html", PAGE),
    "/static/label.css": ("label.css", "text/css", OPEN),
    "/static/asking.js": ("asking.js", "text/javascript", OPEN),
    "/static/label.js": ("label.js", "text/javascript", OPEN),
    "/static/map_canvas.js": ("map_canvas.js", "text/javascript", OPEN),
    "/static/label_map.js": ("label_map.js", "text/javascript", OPEN),
    "/static/label_curve.js": ("label_curve.js", "text/javascript", OPEN),
}
REVIEW_PAGES: Files = {
    **SHARED,
    "/": ("review.html", "text/html", PAGE),
    "/static/review.css": ("review.css", "text/css", OPEN),
    "/static/asking.js": ("asking.js", "text/javascript", OPEN),
    "/static/review.js": ("review.js", "text/javascript", OPEN),
}


@dataclass(frozen=True)
class Page:
    """A file that is served.

    Attributes:
        path: Where.
        content: Its bytes.
        kind: Its media type.
        limits: Of its route.
        tag: Changes with its content.
    """

    path: str
    content: bytes
    kind: str
    limits: Limits

    @property
    def tag(self) -> str:
        """What a browser compares."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


def read_pages(files: Files) -> list[Page]:
    """Files that are served; the file chooser offers the images that are read here."""
    folder = resources.files(__package__) / "web"
    offered = ",".join(media_read()).encode()
    return [
        Page(path, (folder / name).read_bytes().replace(b"{accept}", offered), kind, limits)
        for path, (name, kind, limits) in files.items()
    ]
