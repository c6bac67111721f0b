"""The pages of the service: plain files of this package, read once."""

import hashlib
from dataclasses import dataclass
from importlib import resources

#: Path -> file below `web` and its media type.
FILES = {
    "/": ("search.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/login": ("login.html", "text/html"),
    "/static/style.css": ("style.css", "text/css"),
    "/static/search.js": ("search.js", "text/javascript"),
    "/static/docs.js": ("docs.js", "text/javascript"),
    "/static/login.js": ("login.js", "text/javascript"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True)
class Page:
    """A file that is served.

    Attributes:
        path: Where.
        content: Its bytes.
        kind: Its media type.
        tag: Changes with its content.
    """

    path: str
    content: bytes
    kind: str

    @property
    def tag(self) -> str:
        """What a browser compares."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


def read_pages() -> list[Page]:
    """All files that are served."""
    folder = resources.files(__package__) / "web"
    return [Page(path, (folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()]
