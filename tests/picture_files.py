"""Image files of every format that is read.

Raw files are small: a preview, and what a sensor saw, of which no one asks. Each kind has the
structure of the maker's own files, as far as LibRaw looks at it.
"""

import io
import struct

import numpy as np
from PIL import Image

#: Sides of what the sensor saw.
WIDE, HIGH = 800, 600
#: Sides of the small picture without compression that some kinds have, too.
SMALL = 160, 120
#: Kind -> maker and model.
CAMERAS = {
    "dng": (b"Test\0", b"Camera\0"),
    "cr2": (b"Canon\0", b"Canon EOS 40D\0"),
    "cr3": (b"Canon\0", b"Canon EOS R\0"),
    "nef": (b"NIKON CORPORATION\0", b"NIKON D90\0"),
    "arw": (b"SONY \0", b"ILCE-7M3\0"),
    "orf": (b"OLYMPUS IMAGING CORP.  \0", b"E-M5 \0"),
    "rw2": (b"Panasonic\0", b"DMC-GF1\0"),
}
ASCII, BYTE, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL = 2, 1, 3, 4, 5, 7, 10
FORMS = {BYTE: "B", SHORT: "H", LONG: "I"}


def directory(tags, at, following=0):
    """A directory of a TIFF file (little-endian) that lies at `at`, its values behind it."""
    table, values, behind = b"", b"", at + 2 + 12 * len(tags) + 4
    for tag, kind, given in sorted(tags):
        if isinstance(given, bytes):
            content, count = given, len(given)
        elif kind in (RATIONAL, SIGNED_RATIONAL):
            form = "<ii" if kind == SIGNED_RATIONAL else "<II"
            content, count = b"".join(struct.pack(form, *pair) for pair in given), len(given)
        else:
            content, count = struct.pack(f"<{len(given)}{FORMS[kind]}", *given), len(given)
        if len(content) > 4:
            place = struct.pack("<I", behind + len(values))
            values += content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, count) + place
    return struct.pack("<H", len(tags)) + table + struct.pack("<I", following) + values


class Tiff:
    """A TIFF file that grows: `put` says where something was put."""

    def __init__(self, head):
        self.content = bytearray(head)

    def put(self, content):
        """Append bytes at an even place."""
        place = len(self.content)
        self.content += content + b"\0" * (len(content) % 2)
        return place

    def directory(self, tags, following=0):
        """Append a directory."""
        return self.put(directory(tags, len(self.content), following))

    def begin(self, first):
        """Name the first directory; the file."""
        self.content[4:8] = struct.pack("<I", first)
        return bytes(self.content)


def picture(place, size, wide, high, photometric, bits, *more):
    """Tags of a picture without compression."""
    return [
        *((256, LONG, (wide,)), (257, LONG, (high,)), (258, SHORT, bits), (259, SHORT, (1,))),
        *((262, SHORT, (photometric,)), (273, LONG, (place,)), (277, SHORT, (len(bits),))),
        *((278, LONG, (high,)), (279, LONG, (size,)), *more),
    ]


def sensor():
    """What a sensor saw, 12 bits in 16."""
    return (np.arange(WIDE * HIGH) % 4096).astype("<u2").tobytes()


def raw_file(kind, previews=(), orientation=1, small=None):
    """A raw file.

    Args:
        kind: Of `CAMERAS`.
        previews: JPEG files; of kinds other than "dng" one.
        orientation: How it lies, by EXIF.
        small: Pixels `(height, width, 3)` of the small picture of "dng" and "nef"; grey by default.
    """
    maker, model = CAMERAS[kind]
    about = [(271, ASCII, maker), (272, ASCII, model), (274, SHORT, (orientation,))]
    if kind == "cr3":
        return cr3(previews[0], about)
    head = {"orf": b"IIRO", "rw2": b"IIU\0", "cr2": b"II*\0\0\0\0\0CR\2\0"}.get(kind, b"II*\0")
    tiff = Tiff(head.ljust(24, b"\0"))
    mosaic = (33421, SHORT, (2, 2)), (33422, BYTE, bytes([0, 1, 1, 2]))
    if kind == "cr2":
        return cr2(tiff, previews[0], about)
    saw = tiff.put(sensor())
    size = 2 * WIDE * HIGH
    if kind == "rw2":
        tags = [(1, UNDEFINED, b"0300"), *((tag, SHORT, (v,)) for tag, v in RW2.items())]
        tags += [(0x2E, UNDEFINED, previews[0]), (0x118, LONG, (saw,)), (0x117, LONG, (size,))]
        return tiff.begin(tiff.directory([*tags, *about]))
    cfa = picture(saw, size, WIDE, HIGH, 32803, (16,), *mosaic)
    if kind == "orf":
        note = tiff.put(olympus_note(previews[0], len(tiff.content)))
        return tiff.begin(tiff.directory([*cfa, (34665, LONG, (note,)), *about]))
    below = [tiff.directory([*cfa, (254, LONG, (0,))])]
    for jpeg in previews:
        place = tiff.put(jpeg)
        tags = [(254, LONG, (1,)), (259, SHORT, (6,))]
        tags += [(513, LONG, (place,)), (514, LONG, (len(jpeg),))]
        if kind == "dng":
            tags = [(254, LONG, (1,)), *picture(place, len(jpeg), *side_of(jpeg), 6, (8, 8, 8))]
            tags = [tag for tag in tags if tag[0] != 259] + [(259, SHORT, (7,))]
        if kind == "arw":
            return tiff.begin(tiff.directory([*tags, (330, LONG, below), *about]))
        below.append(tiff.directory(tags))
    pixels = np.full((SMALL[1], SMALL[0], 3), 128, np.uint8) if small is None else small
    place = tiff.put(pixels.tobytes())
    tags = picture(place, pixels.size, pixels.shape[1], pixels.shape[0], 2, (8, 8, 8))
    tags += [(254, LONG, (1,)), (330, LONG, below), *about]
    return tiff.begin(tiff.directory([*tags, *(DNG if kind == "dng" else ())]))


#: Tags of DNG: versions, a name, a colour matrix.
DNG = (
    *((50706, BYTE, bytes([1, 4, 0, 0])), (50707, BYTE, bytes([1, 1, 0, 0]))),
    (50708, ASCII, b"Test Camera\0"),
    (50721, SIGNED_RATIONAL, [(k % 4 == 0, 1) for k in range(9)]),
    *((50728, RATIONAL, [(1, 1)] * 3), (50778, SHORT, (21,))),
)
#: Tags of RW2: the sensor's sides, its borders, bits, compression.
RW2 = {2: WIDE, 3: HIGH, 4: 0, 5: 0, 6: HIGH, 7: WIDE, 9: 1, 10: 12, 11: 34316, 0x17: 100}


def side_of(jpeg):
    """Width and height of a JPEG file."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.size


def cr2(tiff, jpeg, about):
    """A CR2 file: preview, thumbnail, and what the sensor saw as lossless JPEG, of which it has the
    head alone."""
    head = b"\xff\xd8\xff\xc4" + struct.pack(">H", 21) + bytes([0, 0, 2, *[0] * 14, 0, 1])
    head += b"\xff\xc3" + struct.pack(">HBHHB", 14, 14, HIGH, WIDE // 2, 2)
    head += bytes([1, 0x11, 0, 2, 0x11, 0]) + b"\xff\xda" + struct.pack(">HB", 10, 2)
    head += bytes([1, 0, 2, 0, 1, 0, 0]) + bytes(64) + b"\xff\xd9"
    saw, shown = tiff.put(head), tiff.put(jpeg)
    tags = [(259, SHORT, (6,)), (273, LONG, (saw,)), (279, LONG, (len(head),))]
    last = tiff.directory([*tags, (50752, SHORT, (0, 0, WIDE))])
    tags = [(273, LONG, (shown,)), (279, LONG, (len(jpeg),)), (259, SHORT, (6,)), *about]
    wide, high = side_of(jpeg)
    tags += [(256, LONG, (wide,)), (257, LONG, (high,)), (258, SHORT, (8, 8, 8))]
    tiff.content[12:16] = struct.pack("<I", last)
    return tiff.begin(tiff.directory(tags, last))


def olympus_note(jpeg, at):
    """A directory of EXIF at `at` with the maker's note of Olympus, and behind it the preview."""
    begins = at + 18  # the value of its only tag

    def directory_for(preview):
        inner = 12 + 18
        tags = [(0, UNDEFINED, b"0100"), (0x101, LONG, (preview,)), (0x102, LONG, (len(jpeg),))]
        note = b"OLYMPUS\0II\3\0" + directory([(0x2020, LONG, (inner,))], 12)
        return directory([(37500, UNDEFINED, note + directory(tags, inner))], at)

    behind = at + len(directory_for(0))
    return directory_for(behind - begins) + jpeg


def box(name, *parts):
    """A box of ISO/IEC 14496-12."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def cr3(jpeg, about):
    """A CR3 file: boxes with the tags, a track with the preview, one with what the sensor saw."""

    def track(wide, high, kind, parts, size, at):
        entry = [bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", wide, high)]
        entry += [struct.pack(">IIIH", 72 << 16, 72 << 16, 0, 1), bytes(32)]
        entry += [struct.pack(">HhHH", 24, -1, kind, int(kind == 1)), *parts]
        table = [box(b"stsd", bytes(4), struct.pack(">I", 1), box(b"CRAW", *entry))]
        table += [box(b"stts", bytes(4), struct.pack(">III", 1, 1, 1))]
        table += [box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, 1, 1))]
        table += [box(b"stsz", bytes(4), struct.pack(">II", size, 1))]
        table += [box(b"co64", bytes(4), struct.pack(">IQ", 1, at))]
        info = box(b"minf", box(b"vmhd", bytes(12)), box(b"stbl", *table))
        media = box(b"mdhd", bytes(24)), box(b"hdlr", bytes(8), b"vide", bytes(13)), info
        return box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", *media))

    def before(at):
        """All boxes before the one with the preview's bytes at `at`."""
        tags = b"II*\0\x08\0\0\0" + directory(
            [(256, LONG, (WIDE,)), (257, LONG, (HIGH,)), *about], 8
        )
        canon = [bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")]
        canon += [box(b"CNCV", b"CanonCR3_001/00.10.00/00.00.00"), box(b"CMT1", tags)]
        sides = struct.pack(">IIII", WIDE, HIGH, WIDE // 2, HIGH)
        saw = box(b"CMP1", bytes.fromhex("ff00003001000000"), sides, bytes.fromhex(CMP1))
        tracks = track(*side_of(jpeg), 3, [box(b"JPEG", bytes(4))], len(jpeg), at)
        tracks += track(WIDE, HIGH, 1, [saw, box(b"CDI1", bytes(8))], 64, at + len(jpeg))
        return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", *canon), tracks)

    length = len(before(0))
    return before(length + 8) + box(b"mdat", jpeg, bytes(64))


#: Planes, bits and offsets of Canon's compression.
CMP1 = "0e400000000000780000000001010000010100000101000001010000"


#: What `picture_file` writes.
KINDS = ("jpg", "png", "webp", "bmp", "gif", "tif", "avif", "heic", *CAMERAS)
#: EXIF orientation -> what turns an upright picture so that it lies like that.
LAID = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture_file(kind, image, orientation=1, **options):
    """A file of a picture, nearly or quite without loss.

    Args:
        kind: Of `KINDS`.
        image: The picture, upright.
        orientation: How it lies in the file, by what the format has for that.
        options: For whoever writes it: `icc_profile`, for example.
    """
    if orientation in LAID:
        image = image.transpose(LAID[orientation])
    exif = Image.Exif()
    exif[274] = orientation
    if kind in CAMERAS:
        return raw_file(
            kind, [saved(image, "JPEG", quality=98, subsampling=0, **options)], orientation
        )
    if kind == "heic":
        import pillow_heif

        stream = io.BytesIO()
        options = {"quality": -1, "chroma": 444, "exif": exif.tobytes(), **options}
        pillow_heif.encode(image.mode, image.size, image.tobytes(), stream, **options)
        return stream.getvalue()
    if kind not in ("bmp", "gif"):
        options["exif"] = exif
    if kind in ("jpg", "avif"):
        options |= {"quality": 98, "subsampling": 0 if kind == "jpg" else "4:4:4"}
    if kind == "webp":
        options["lossless"] = True
    return saved(image, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()), **options)


def saved(image, form, **options):
    """The bytes of a file that Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
