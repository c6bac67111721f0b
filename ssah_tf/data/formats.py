"""Image formats: which endings are looked at, and what a file is by its first bytes."""

#: Format that is read -> endings of its files. Folders are scanned for these.
READ = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WebP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
}
#: Format that is not read -> endings of its files. Folders count these, so that none is missing
#: without a word.
NOT_READ = {
    "AVIF": (".avif", ".avifs"),
    "HEIC": (".heic", ".heif", ".hif", ".heics", ".heifs"),
    "JPEG XL": (".jxl",),
    "JPEG 2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".jpm"),
    "JPEG XR": (".jxr", ".wdp", ".hdp"),
    "raw": (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf"),
        *(".orf", ".ori", ".rw2", ".rwl", ".raw", ".pef", ".srw", ".x3f", ".3fr", ".fff"),
        *(".iiq", ".erf", ".mrw", ".mef", ".mos", ".kdc", ".dcr", ".k25", ".gpr", ".dcs"),
    ),
    "other": (
        *(".psd", ".psb", ".xcf", ".tga", ".ico", ".svg", ".exr", ".hdr", ".qoi", ".pcx"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".dds", ".sgi", ".ras"),
    ),
}

#: File name endings that count as images when a folder is scanned.
SUFFIXES = frozenset(ending for endings in READ.values() for ending in endings)
#: Those of images that are passed over and counted.
PASSED_OVER = frozenset(ending for endings in NOT_READ.values() for ending in endings)

#: Bytes at the beginning of a file that are enough to say what it is.
HEAD = 512

#: How files of formats that are read begin.
BEGIN = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
#: How images begin that are not read.
IMAGES = {
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL image",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"II\xbc\x01": "a JPEG XR image",
    b"FUJIFILMCCD-RAW": "a raw image of a camera",
    b"IIRO": "a raw image of a camera",
    b"IIRS": "a raw image of a camera",
    b"MMOR": "a raw image of a camera",
    b"IIU\0": "a raw image of a camera",
    b"FOVb": "a raw image of a camera",
    b"\0MRM": "a raw image of a camera",
    b"8BPS": "a Photoshop image",
    b"gimp xcf": "a GIMP image",
    b"\0\0\1\0": "an icon (ICO)",
    b"\x76\x2f\x31\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"qoif": "a QOI image",
    b"DDS ": "a DDS image",
    **{b"P%d" % k + space: "a PNM image" for k in range(1, 8) for space in (b"\n", b" ", b"\r")},
}
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
#: Brands of files that are boxes, as ISO has it -> what they are.
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "a HEIC image"
    ),
    b"crx ": "a raw image of a camera",
}
#: Brands that say less: of images whose kind another brand names, if any does.
HEIF = (b"mif1", b"mif2", b"msf1", b"miaf")


def begins_as(head: bytes) -> str | None:
    """The format that is read and whose files begin so, or `None`.

    Args:
        head: The first bytes of a file, `HEAD` of them if it has so many.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for begin, name in BEGIN.items() if head.startswith(begin)), None)


def not_read(head: bytes) -> str | None:
    """What a file is that cannot be read, by its first bytes; `None` if they do not say.

    Args:
        head: See `begins_as`.

    Returns:
        A phrase for messages, such as "a HEIC image, which is not read; save it as JPEG or PNG".
    """
    image = next((what for begin, what in IMAGES.items() if head.startswith(begin)), None)
    if image is None and head[4:8] == b"ftyp":
        image = of_boxes(head)
        if image is None:
            return "a video, not an image"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if image is None and (text.startswith(b"<svg") or (text[:5] == b"<?xml" and b"<svg" in text)):
        image = "an SVG drawing"
    if image is not None:
        return f"{image}, which is not read; save it as JPEG or PNG"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "a video, not an image"
    return next((what for begin, what in OTHERS.items() if head.startswith(begin)), None)


def of_boxes(head: bytes) -> str | None:
    """What image the brands of a file of boxes name; `None` for none, as in videos."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    named = next((BRANDS[brand] for brand in brands if brand in BRANDS), None)
    return named or ("a HEIF image" if any(brand in HEIF for brand in brands) else None)
