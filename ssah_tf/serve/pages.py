"""The pages of the service: files of this package, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from ssah_tf.data.formats import media_read
from ssah_tf.serve.limits import CLOSED, OPEN, PAGE, Limits
from ssah_tf.serve.policy import POLICY, WITH_WASM, WITH_WORKER

#: Path -> file below `web`, its media type, and its limits: what the page for the token needs is
#: open.
Files = Mapping[str, tuple[str, str, Limits]]
MEDIA = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".rgb": "application/octet-stream",
}


def static(*names: str) -> Files:
    """Files that a page loads, each under its name; they are open."""
    return {f"/static/{name}": (name, MEDIA[Path(name).suffix], OPEN) for name in names}


#: Scripts of the search page, beside `search.js`.
SEARCH_PARTS = (
    "address",
    "service",
    "tiles",
    "view",
    "pick",
    "browse",
    "coding",
    "file",
    "options",
)
SHARED: Files = {
    "/login": ("login.html", "text/html", OPEN),
    **static("style.css", "login.js", "common.js", "icon.svg"),
}
SEARCH_PAGES: Files = {
    **SHARED,
    "/": ("search.html", "text/html", PAGE),
    "/docs": ("docs.html", "text/html", PAGE),
    **static("search.css", "search.js", *(f"search_{part}.js" for part in SEARCH_PARTS), "docs.js"),
}
LABEL_PAGES: Files = {
    **SHARED,
    "/": ("label.html", "text/html", PAGE),
    **static("label.css", "asking.js", "label.js"),
    **static("map_canvas.js", "label_map.js", "label_curve.js"),
}
REVIEW_PAGES: Files = {
    **SHARED,
    "/": ("review.html", "text/html", PAGE),
    **static("review.css", "asking.js", "review.js"),
}
LABEL_AND_REVIEW_PAGES: Files = {
    **REVIEW_PAGES,
    **LABEL_PAGES,
    "/review": ("review.html", "text/html", PAGE),
}


@dataclass(frozen=True)
class Page:
    """A file that is served.

    Attributes:
        path: Where.
        content: Its bytes.
        kind: Its media type.
        limits: Of its route.
        policy: Its Content-Security-Policy.
    """

    path: str
    content: bytes
    kind: str
    limits: Limits
    policy: str = POLICY


def read_pages(files: Files) -> list[Page]:
    """Files that are served; the file chooser offers the images that are read here."""
    folder = resources.files(__package__) / "web"
    offered = ",".join(media_read()).encode()
    return [
        Page(path, (folder / name).read_bytes().replace(b"{accept}", offered), kind, limits)
        for path, (name, kind, limits) in files.items()
    ]


def with_coding(pages: Sequence[Page], files: Mapping[str, bytes]) -> list[Page]:
    """The pages of a search of which the first may have a worker run an encoder.

    Args:
        pages: Without that.
        files: Name below `/coding/` -> content of what it loads for that.
    """
    parts = [
        Page(f"/coding/{name}", content, MEDIA[Path(name).suffix], CLOSED)
        for name, content in files.items()
    ]
    policies = {"/": WITH_WORKER, "/coding/web/worker.mjs": WITH_WASM}
    return [replace(page, policy=policies.get(page.path, page.policy)) for page in (*pages, *parts)]
