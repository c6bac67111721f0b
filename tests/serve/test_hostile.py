"""Bodies and paths of people who mean no good: only clean 4xx."""

import importlib.util
import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

BOUNDARY = b"----b"


def clean(answer, *allowed):
    """One line of JSON and a status of a client's mistake, or one of those that are allowed."""
    if answer.status_code in allowed:
        return
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    text = answer.json()["error"]
    assert text
    assert len(text.splitlines()) == 1


def broken_bodies(rng, good):
    """Without end: (content type, body), each broken in another way."""
    while True:
        content = bytearray(good[rng.integers(len(good))])
        kind = rng.integers(6)
        if kind == 0:  # cut
            content = content[: rng.integers(len(content))]
        elif kind == 1:  # bytes turned
            for _ in range(rng.integers(1, 30)):
                content[rng.integers(len(content))] = rng.integers(256)
        elif kind == 2:  # a stretch of noise
            start = rng.integers(len(content))
            noise = rng.integers(0, 256, rng.integers(1, 400), dtype=np.uint8).tobytes()
            content[start : start + len(noise)] = noise
        elif kind == 3:  # a stretch left out or doubled
            start, stop = sorted(rng.integers(0, len(content), 2))
            content[start:stop] = bytes(content[start:stop]) * int(rng.integers(0, 3))
        elif kind == 4:  # noise alone
            content = bytearray(rng.integers(0, 256, rng.integers(1, 3000), dtype=np.uint8))
        if kind == 5 or rng.random() < 0.3:  # a form, whole or broken
            form = bytearray(
                b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="image"; '
                b'filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + bytes(content)
                + b"\r\n--" + BOUNDARY + b"--\r\n"
            )  # fmt: skip
            if rng.random() < 0.7:
                for _ in range(rng.integers(1, 6)):
                    form[rng.integers(min(len(form), 150))] = rng.integers(256)
            if rng.random() < 0.3:
                form = form[: rng.integers(len(form))]
            yield b"multipart/form-data; boundary=" + BOUNDARY, bytes(form)
        else:
            yield b"application/octet-stream", bytes(content)


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_broken_bodies(shared, client, count):
    """Refused, or, where a decoder forgives, answered; nothing in between, and it goes on."""
    http = client(shared, rate=0, max_pixels=1_000_000)
    rng = np.random.default_rng(count)
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    good = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        stream = io.BytesIO()
        Image.fromarray(noise).save(stream, kind)
        good.append(stream.getvalue())
    bodies = broken_bodies(rng, good)
    for _ in range(count):
        kind, body = next(bodies)
        clean(http.post("/search?k=1", content=body, headers={b"content-type": kind}), 200)
    assert http.get("/healthz").status_code == 200


def test_torture(shared, client):
    """Every awkward and hostile file that the readers of folders are tested with."""
    file = Path(__file__).parents[1] / "data" / "test_torture.py"
    spec = importlib.util.spec_from_file_location("torture", file)
    torture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(torture)
    http = client(shared, rate=0)
    for name, (content, _, _) in torture.good_files().items():
        answer = http.post("/encode", content=content)
        assert answer.status_code == 200, name
        assert answer.json()["code"] == shared.encoder.encode(content).tobytes().hex()
    for name, content in torture.bad_files().items():
        answer = http.post("/encode", content=content)
        assert answer.status_code == (413 if name == "huge.png" else 422), name
        clean(answer)
    # What a decoder of Pillow that we do not use would take; that of EPS runs Ghostscript.
    for kind in ("EPS", "PPM", "ICO", "TGA", "PCX"):
        content = torture.encoded(torture.plain(), kind)
        assert http.post("/encode", content=content).status_code == 422, kind


HEADERS = [
    {"content-type": "multipart/form-data"},
    {"content-type": "multipart/form-data; boundary="},
    {"content-type": "multipart/form-data; boundary=" + "x" * 5000},
    {"content-length": "-1"},
    {"content-length": "1e9"},
    {"content-type": "image/svg+xml"},
    {"content-type": "é".encode("latin-1")},
]


@pytest.mark.parametrize("headers", HEADERS)
def test_broken_headers(shared, client, headers):
    clean(client(shared).post("/search", content=b"<svg/>", headers=headers))


def test_path_tricks(shared, client):
    """No way leads out of the index, and none to a file by its name."""
    http = client(shared, rate=0)
    root = str(shared.root)
    tricks = [
        "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd", "/etc/passwd", "//etc/passwd", "..\\..\\etc\\passwd",
        "%00", "0%00.png", "1/../../etc", "-1", "1.0", "0x1", "1e0", "१", "NaN", "",
        " 1", "99999999999999999999999", quote(root + "/encoder.onnx", safe=""), "1;x", "1%3fx",
    ]  # fmt: skip
    for trick in tricks:
        for path in (
            f"/photos/{trick}/image",
            f"/photos/{trick}",
            f"/static/{trick}",
            f"/{trick}",
            f"/photos/1/{trick}",
        ):
            answer = http.get(path)
            assert "root:" not in answer.text
            if answer.status_code not in (200, 304):
                clean(answer)
            elif "text/html" in answer.headers["content-type"]:
                assert answer.url.path in ("/", "/docs")
            else:
                assert answer.url.path.startswith("/photos")
        for name in ("path", "id", "code"):
            answer = http.post("/search", params={name: trick.replace("%00", "\0")})
            clean(answer, *([200] if trick in (" 1", "1.0") else []))
    for path in shared.photos.rglob("*.png"):
        clean(http.post("/search", params={"path": str(path)}))  # absolute ones are not told
    assert http.post("/search", params={"path": "red/0.png"}).status_code == 200
    for trick in (
        "path=\0",
        "path=" + "*" * 10_000,
        "path=[",
        "label=\ud800",
        "label=" + "x|" * 500,
    ):
        answer = http.get("/photos", params={"filter": trick.encode("utf-8", "surrogatepass")})
        clean(answer, 200)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("path=" + "*a" * 2_000, "filter: at most 4,000 characters, received 4,005"),
        ("path=" + "*a" * 40, "filter path: at most 32 wildcards (*, ?, [...]), received 40"),
    ],
)
def test_costly_filters(shared, client, condition, text):
    """Refused with a line; photos that are looked for cost what a search costs."""
    http = client(shared, rate=0.001)
    for answer in (
        http.get("/photos", params={"filter": condition}),
        client(shared).post("/search", params={"id": 1, "filter": condition}),
    ):
        clean(answer)
        assert (answer.status_code, answer.json()["error"]) == (422, text)
    assert http.get("/photos?filter=label=red").status_code == 429


def test_methods(shared, client):
    http = client(shared)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"):
        for path in ("/", "/search", "/photos/1", "/photos/1/image"):
            clean(http.request(method, path))
    clean(http.get("/search"))
    assert http.get("/photos/1/image/", follow_redirects=False).status_code in (404, 307)
