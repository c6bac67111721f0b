"""What the service allows."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Limits of the service, and who may use it.

    Attributes:
        token: What a client has to show, `None` for everybody.
        hosts: Names, besides addresses and `localhost`, under which the service may be asked.
        origins: Origins (`https://photos.example:8443`) of its pages behind a proxy that hides it.
        root_path: Path below which a proxy shows the service, such as `/photos`; "" for none.
        proxies: Addresses and networks of proxies whose `X-Forwarded-For` is believed, with commas.
        max_upload: Largest body of a request, bytes.
        max_pixels: Largest uploaded image.
        max_k: Most neighbours of a search.
        rate: Searches a second of one client in the long run; 0 for any number.
        queue: Searches that are taken in at once, and pictures likewise.
        slow_uploads: Uploads of one client at once that take longer than a few seconds.
        slowest: Bytes a second that an upload, or an answer on its way, gets on by at least.
        timeout: Seconds over which that is measured, and for an answer to be found.
        watch: Seconds between looks at whether the index was made anew; 0 for none.
        threads: Searches that are computed at once; 0 for one a core.
        originals: Whether the files themselves are sent, with their metadata.
        show_place: Whether it is said where photos were taken.
        decoders: Processes that decode pictures.
        warm: Whether they start with the service, and not with the first picture.
        decode_memory: Bytes that pictures in work may take; one that takes more is alone.
        cache: Folder in which thumbnails are kept; `None` for none.
        cache_size: Bytes of them.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    root_path: str = ""
    proxies: str = ""
    max_upload: int = 16 * 2**20
    max_pixels: int = 50_000_000
    max_k: int = 1000
    rate: float = 30.0
    queue: int = 128
    slow_uploads: int = 16
    slowest: int = 2000
    timeout: float = 30.0
    watch: float = 2.0
    threads: int = 0
    originals: bool = False
    show_place: bool = False
    decoders: int = 2
    warm: bool = False
    decode_memory: int = 256 * 2**20
    cache: Path | None = None
    cache_size: int = 512 * 2**20
