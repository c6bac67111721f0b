"""Image formats: their endings and first bytes, and what reads them: one table for everything."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

#: Bytes at the beginning of a file that are enough to say what it is.
HEAD = 512


@dataclass(frozen=True)
class Format:
    """A format of image files.

    Attributes:
        name: What it is called.
        a: What messages call a file of it.
        endings: Of its files, in lower case; folders are scanned for them, or count them.
        begins: How its files begin.
        brands: Of its files of boxes (ISO/IEC 14496-12).
        pillow: The decoders of Pillow that read it.
        module: What reads it, if that may be missing.
        extra: Which of ours brings the module.
        media: Media types, for file choosers.
    """

    name: str
    a: str
    endings: tuple[str, ...] = ()
    begins: tuple[bytes, ...] = ()
    brands: tuple[bytes, ...] = ()
    pillow: tuple[str, ...] = ()
    module: str = ""
    extra: str = ""
    media: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether this program can read it, if all that it needs is installed."""
        return bool(self.pillow or self.module)

    @property
    def read(self) -> bool:
        """Whether it is read here and now."""
        return self.known and (not self.module or installed(self.module))


@cache
def installed(module: str) -> bool:
    """Whether a module is there, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


JPEG = Format(
    "JPEG",
    "a JPEG image",
    (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    (b"\xff\xd8\xff",),
    pillow=("JPEG",),
    media=("image/jpeg",),
)
WEBP = Format("WebP", "a WebP image", (".webp",), pillow=("WEBP",), media=("image/webp",))
TIFF = Format(
    "TIFF",
    "a TIFF image",
    (".tif", ".tiff"),
    (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    pillow=("TIFF",),
    media=("image/tiff",),
)
AVIF = Format(
    "AVIF",
    "an AVIF image",
    (".avif", ".avifs"),
    brands=(b"avif", b"avis"),
    pillow=("AVIF",),
    module="PIL._avif",  # some builds of Pillow have none
    media=("image/avif",),
)
HEIC = Format(
    "HEIC",
    "a HEIC image",
    (".heic", ".heif", ".hif", ".heics", ".heifs"),
    brands=(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    module="pillow_heif",
    extra="heic",
    media=("image/heic", "image/heif"),
)
#: Any other image in the boxes of HEIC: brands that say less than those of `HEIC` and `AVIF`.
HEIF = Format(
    "HEIF",
    "a HEIF image",
    brands=(b"mif1", b"mif2", b"msf1", b"miaf"),
    module="pillow_heif",
    extra="heic",
)
#: Raw files whose preview is read. Those that are TIFF files are told by their tags.
RAW = Format(
    "raw",
    "a raw image of a camera",
    (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"),
    (b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),
    (b"crx ",),
    module="rawpy",
    extra="raw",
)
OTHER_RAW = Format(
    "other raw",
    "a raw image of a camera",
    (
        *(".crw", ".nrw", ".srf", ".sr2", ".raf", ".ori", ".rwl", ".raw", ".pef", ".srw", ".x3f"),
        *(".3fr", ".fff", ".iiq", ".erf", ".mrw", ".mef", ".mos", ".kdc", ".dcr", ".k25", ".gpr"),
        ".dcs",
    ),
    (b"FUJIFILMCCD-RAW", b"II\x1a\0\0\0HEAPCCDR", b"FOVb", b"\0MRM"),
)

#: All formats that are told apart; of several that fit the first counts.
TABLE = (
    JPEG,
    Format(
        "PNG",
        "a PNG image",
        (".png", ".apng"),
        (b"\x89PNG\r\n\x1a\n",),
        pillow=("PNG",),
        media=("image/png",),
    ),
    WEBP,
    Format("BMP", "a BMP image", (".bmp", ".dib"), pillow=("BMP", "DIB"), media=("image/bmp",)),
    Format(
        "GIF",
        "a GIF image",
        (".gif",),
        (b"GIF87a", b"GIF89a"),
        pillow=("GIF",),
        media=("image/gif",),
    ),
    TIFF,
    AVIF,
    HEIC,
    HEIF,
    RAW,
    OTHER_RAW,
    Format(
        "JPEG XL",
        "a JPEG XL image",
        (".jxl",),
        (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ),
    Format(
        "JPEG 2000",
        "a JPEG 2000 image",
        (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".jpm"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    Format("JPEG XR", "a JPEG XR image", (".jxr", ".wdp", ".hdp"), (b"II\xbc\x01",)),
    Format("Photoshop", "a Photoshop image", (".psd", ".psb"), (b"8BPS",)),
    Format("GIMP", "a GIMP image", (".xcf",), (b"gimp xcf",)),
    Format("ICO", "an icon (ICO)", (".ico",), (b"\0\0\1\0",)),
    Format("OpenEXR", "an OpenEXR image", (".exr",), (b"\x76\x2f\x31\x01",)),
    Format("Radiance HDR", "a Radiance HDR image", (".hdr",), (b"#?RADIANCE",)),
    Format("QOI", "a QOI image", (".qoi",), (b"qoif",)),
    Format("DDS", "a DDS image", (".dds",), (b"DDS ",)),
    Format(
        "PNM",
        "a PNM image",
        (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
        tuple(b"P%d" % k + space for k in range(1, 8) for space in (b"\n", b" ", b"\r")),
    ),
    Format("SVG", "an SVG drawing", (".svg",)),
    Format("others", "an image", (".tga", ".pcx", ".sgi", ".ras")),
)

#: The only decoders of Pillow that are used, whatever a file is called: others are less looked
#: after, and that of EPS runs Ghostscript.
PILLOW = tuple(decoder for one in TABLE for decoder in one.pillow)
#: Ending -> its format.
OF_ENDING = {ending: one for one in TABLE for ending in one.endings}
#: Endings of all raw files, and of the pictures that cameras write beside them.
RAW_ENDINGS = frozenset((*RAW.endings, *OTHER_RAW.endings))
BESIDE_RAW = frozenset((*JPEG.endings, *HEIC.endings))
#: How files begin that are no images at all, but often bear the name of one.
OTHERS = {
    b"%PDF": "a PDF document, not an image",
    b"%!PS": "a PostScript document, not an image",
    b"PK\3\4": "an archive, not an image",
    b"\x1f\x8b": "an archive, not an image",
    b"Rar!": "an archive, not an image",
    b"7z\xbc\xaf": "an archive, not an image",
    b"\x1aE\xdf\xa3": "a video, not an image",
    b"\0\x05\x16\x07": "what macOS keeps beside a file, not an image",
    b"version https://git-lfs": "a pointer of Git LFS, not an image; run `git lfs pull`",
}


def ending_of(name: str) -> str:
    """The ending of a file name, with its point, in lower case."""
    return name[name.rfind(".") :].lower()


def stem_of(name: str) -> str:
    """A file name without its ending."""
    return name[: name.rfind(".")]


def endings_read() -> frozenset[str]:
    """Endings of the formats that are read here and now."""
    return frozenset(ending for one in TABLE if one.read for ending in one.endings)


def media_read() -> list[str]:
    """Media types and endings that are read here and now, as a file chooser takes them."""
    read = [one for one in TABLE if one.read]
    return [
        *(kind for one in read for kind in one.media),
        *(ending for one in read for ending in one.endings),
    ]


def what_to_install(formats: Iterable[Format]) -> str:
    """The command after which formats are read that are not now; "" if none would be."""
    extras = sorted({one.extra for one in formats if one.extra and not one.read})
    return f"pip install 'ssah-tf[{','.join(extras)}]'" if extras else ""


def format_of(head: bytes) -> Format | None:
    """The format of a file by its first bytes; `None` for no image, or if they do not say.

    A raw file that is a TIFF file is called one; see `tiff.is_raw`.

    Args:
        head: The first bytes, `HEAD` of them if it has so many.
    """
    if head[:4] == b"RIFF":
        return WEBP if head[8:12] == b"WEBP" else None
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))}
        return next((one for one in TABLE if brands.intersection(one.brands)), None)
    text = text_of(head)
    if text.startswith(b"<svg") or (text[:5] == b"<?xml" and b"<svg" in text):
        return OF_ENDING[".svg"]
    return next((one for one in TABLE if head.startswith(one.begins)), None)


def text_of(head: bytes) -> bytes:
    """The beginning of a file as text, without what may stand before it."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()


def not_read(one: Format) -> str:
    """What to do with a file of a format that is not read here: a phrase for messages."""
    if command := what_to_install([one]):
        return f"{one.a}: to read it, {command}"
    return f"{one.a}, which is not read; save it as JPEG or PNG"


def no_image(head: bytes) -> str:
    """What a file is whose first bytes are those of no image format."""
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "a video, not an image"
    if text_of(head).startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image"
    known = next((what for begin, what in OTHERS.items() if head.startswith(begin)), None)
    return known or "empty, or not an image"
