"""What the service allows."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Limits of the service, and who may use it.

    Attributes:
        token: What a client has to show, `None` for everybody.
        hosts: Names, besides addresses and `localhost`, under which the service may be asked.
        max_upload: Largest body of a request, bytes.
        max_pixels: Largest uploaded image.
        max_k: Most neighbours of a search.
        rate: Searches a second of one client in the long run; 0 for any number.
        queue: Searches that are taken in at once, and pictures likewise.
        timeout: Seconds for an upload to arrive, and for an answer to be found.
        watch: Seconds between looks at whether the index was made anew; 0 for none.
        threads: Searches that are computed at once; 0 for one a core.
        decoders: Processes that decode pictures.
        warm: Whether they start with the service, and not with the first picture.
        decode_memory: Bytes that pictures in work may take; one that takes more is alone.
        cache: Folder in which thumbnails are kept; `None` for none.
        cache_size: Bytes of them.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    max_upload: int = 16 * 2**20
    max_pixels: int = 50_000_000
    max_k: int = 1000
    rate: float = 30.0
    queue: int = 128
    timeout: float = 30.0
    watch: float = 2.0
    threads: int = 0
    decoders: int = 2
    warm: bool = False
    decode_memory: int = 256 * 2**20
    cache: Path | None = None
    cache_size: int = 512 * 2**20
