"""A real `ssah serve`: how it starts, what it does on a wire, how it stops."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssah_tf.cli import serve as command
from ssah_tf.cli.extras import EXTRAS
from ssah_tf.serve.connection import timed
from ssah_tf.serve.settings import Settings


def get(url, data=None):
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        return json.load(answer)


def talk(port, content, pause=0.0):
    """Send bytes, the rest after a pause; all that comes back before the service closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        for part in content if isinstance(content, list) else [content]:
            with contextlib.suppress(OSError):
                stream.sendall(part)
            time.sleep(pause)
        received = b""
        with contextlib.suppress(OSError):
            while part := stream.recv(65536):
                received += part
        return received.decode("latin-1")


def head(path, *lines):
    return "\r\n".join((f"{path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


@pytest.mark.slow
def test_life(own, serve):
    """Started, asked, given a new photo, asked again, stopped; nothing is said but what matters."""
    served = serve(own.folder, "--timeout", "1")
    assert get(f"{served.url}/healthz")["photos"] == 10
    found = get(f"{served.url}/search?k=2", own.body(255, 0, 0))
    assert [n["path"] for n in found["neighbours"]] == ["red/1.png", "red/2.png"]
    Image.new("RGB", (12, 12), (255, 1, 0)).save(own.photos / "red" / "new.png")
    own.sync()
    for _ in range(100):
        if get(f"{served.url}/healthz")["photos"] == 11:
            break
        time.sleep(0.1)
    found = get(f"{served.url}/search?k=2", own.body(255, 0, 0))
    assert [n["path"] for n in found["neighbours"]] == ["red/1.png", "red/new.png"]

    # Too large by its header: answered before any of it is sent.
    text = talk(served.port, head("POST /search", "Content-Length: 99999999999"))
    assert text.startswith("HTTP/1.1 413 ")
    assert "the upload is too large: at most 16 MiB" in text
    # An upload that stops, headers that stop, a connection that says nothing.
    text = talk(served.port, head("POST /search", "Content-Length: 1000") + b"begin")
    assert text.startswith("HTTP/1.1 408 ")
    assert talk(served.port, b"GET / HTTP/1.1\r\nHost: lo") == ""
    assert talk(served.port, b"") == ""
    # Not HTTP at all.
    assert talk(served.port, b"\x16\x03\x01\x02\x00\x01").startswith("HTTP/1.1 400 ")
    code, stderr = served.stop()
    assert code == 0
    assert "the index was made anew: 11 photos" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_what_is_under_way_is_answered(shared, serve, number):
    """The signal comes in the middle of an upload; the rest of it, and the answer, come after."""
    served = serve(shared.folder)
    body = shared.body(0, 0, 255)
    begin = head("POST /encode", f"Content-Length: {len(body)}", "Connection: close")
    answers = []

    def upload():
        answers.append(talk(served.port, [begin + body[:20], body[20:]], pause=1))

    client = threading.Thread(target=upload)
    client.start()
    time.sleep(0.5)
    code, stderr = served.stop(number)
    client.join()
    assert (code, stderr) == (0, "")
    assert answers[0].startswith("HTTP/1.1 200 ")
    assert shared.code_of(0, 0, 255) in answers[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port))


@pytest.mark.slow
def test_odd_clients(shared, serve):
    """Uploads that break off, bodies that turn out to be none, old HTTP: no 500, no traceback."""
    served = serve(shared.folder, "--max-upload", "0.01")
    chunked = "Transfer-Encoding: chunked"
    for content in (
        head("POST /search", "Content-Length: 1000") + b"begin",
        head("POST /encode", chunked) + b"5\r\nbegin\r\n",
        head("POST /login", "Content-Length: 1000") + b"token=",
        head("POST /search", chunked) + b"no number\r\n",
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as stream:
            stream.sendall(content)
            time.sleep(0.1)
        assert get(f"{served.url}/healthz")["status"] == "ok"
    # Refused by its size, and then no HTTP at all.
    large = head("POST /search", chunked) + b"5000\r\n" + bytes(0x5000) + b"\r\n"
    assert talk(served.port, [large, b"no number\r\n"], pause=0.5).startswith("HTTP/1.1 413 ")
    assert talk(served.port, b"GET /healthz HTTP/1.0\r\n\r\n").startswith("HTTP/1.1 200 ")
    with urllib.request.urlopen(f"{served.url}/metrics") as answer:
        metrics = answer.read().decode()
    assert 'status="500"' not in metrics
    gone = [
        line for line in metrics.splitlines() if 'requests_total{route="none",status="499' in line
    ]
    assert [line.split()[1] for line in gone] == ["4.0"]
    code, stderr = served.stop()
    assert code == 0
    assert "Traceback" not in stderr
    assert set(stderr.splitlines()) <= {"WARNING:  Invalid HTTP request received."}


@pytest.mark.slow
def test_many_slow_uploads(shared, serve):
    """Forty of one client, and two searches at once at most: all others are answered."""
    served = serve(shared.folder, "--queue", "2", "--rate", "0")
    body = shared.body(0, 0, 255)
    with contextlib.ExitStack() as stack:
        slow = []
        for _ in range(40):
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 30))
            stream.sendall(head("POST /search", f"Content-Length: {len(body)}") + body[:20])
            slow.append(stream)
        time.sleep(0.2)
        for _ in range(5):
            found = get(f"{served.url}/search?k=1", body)
            assert [n["path"] for n in found["neighbours"]] == ["blue/0.png"]
        slow[7].sendall(body[20:])
        assert slow[7].recv(20).startswith(b"HTTP/1.1 200")
    assert served.stop() == (0, "")


class Wire:
    """A transport, a loop and a request as far as a look at them goes."""

    def __init__(self, settings):
        protocol = timed(settings)
        self.protocol = protocol.__new__(protocol)
        self.protocol.loop = self.protocol.transport = self.protocol.cycle = self
        self.more_body = self.response_started = self.response_complete = False
        self.left, self.aborted, self.next = 0, False, (None, 0, 0)

    def call_later(self, seconds, look, *state):
        self.next = state

    def get_write_buffer_size(self):
        return self.left

    def abort(self):
        self.aborted = True

    def looks(self, *left):
        """How many looks it survives, with so many bytes left at each."""
        for number, self.left in enumerate(left):
            self.protocol.look(*self.next)
            if self.aborted:
                return number
        return len(left)


def test_what_is_looked_at_on_a_wire():
    """An answer that is taken slowly goes on; one that is not taken, or a silent client, ends."""
    settings = Settings(timeout=10, slowest=1000)  # 10,000 bytes between looks
    wire = Wire(settings)
    wire.response_started = wire.response_complete = True
    assert wire.looks(90_000, 80_000, 70_000, 60_000, 50_000, 40_001) == 5
    wire = Wire(settings)
    wire.response_started = wire.response_complete = True
    assert wire.looks(90_000, 90_000) == 1
    wire = Wire(settings)
    wire.more_body = True  # an upload: what reads it sees to that
    assert wire.looks(*[0] * 50) == 50
    wire.more_body = False
    assert wire.looks(*[0] * 50) == 2


@pytest.mark.slow
def test_an_answer_that_nobody_takes(own, serve):
    """It is broken off, and its place given back."""
    noise = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), dtype=np.uint8)
    Image.fromarray(noise).save(own.photos / "red" / "noise.jpg", quality=100)
    own.sync()
    served = serve(own.folder, "--timeout", "1")
    (photo,) = get(f"{served.url}/photos?filter=path=*noise.jpg")
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.connect(("127.0.0.1", served.port))
        stream.sendall(head(f"GET {photo['image']}"))
        done = 'ssah_requests_total{route="/photos/{id}/image",status="200"} 1.0'
        for _ in range(100):
            with urllib.request.urlopen(f"{served.url}/metrics") as answer:
                if done in answer.read().decode():
                    break
            time.sleep(0.2)
        else:
            raise AssertionError("still waiting")
        time.sleep(0.2)
        received = 0
        with contextlib.suppress(OSError):
            while part := stream.recv(1 << 16):
                received += len(part)
        assert received < 3_000_000
    assert served.stop() == (0, "")


@pytest.mark.slow
def test_token_and_address(shared, serve, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    served = serve(shared.folder, "--token-file", str(token), "--host", "0.0.0.0")
    assert "401" in talk(served.port, head("GET /about", "Connection: close"))[:20]
    shown = head("GET /about", "Authorization: Bearer 0123456789abcdef", "Connection: close")
    assert "200" in talk(served.port, shown)[:20]
    assert served.stop() == (0, "")
    served = serve(shared.folder, environment={"SSAH_TOKEN": "0123456789abcdef"})
    assert "401" in talk(served.port, head("GET /about", "Connection: close"))[:20]
    served.stop()
    served = serve(shared.folder, "--host", "0.0.0.0")
    _, stderr = served.stop()
    assert "without a token everybody who reaches this address can look at these photos" in stderr


def refusal(*words, **environment):
    """The line that a command ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "ssah_tf.cli", "serve", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_refusals(shared, ssah, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        text = refusal(shared.folder, "--port", port)
    assert text == f"ssah: port {port} is in use: name another with --port\n"
    assert "not an index of photos; make one with `ssah index`" in refusal(tmp_path, "--port", 0)
    assert "no address of this machine" in refusal(shared.folder, "--host", "192.0.2.1")
    short = refusal(shared.folder, SSAH_TOKEN="short")
    assert "$SSAH_TOKEN: a token has 16 or more letters and digits" in short
    monkeypatch.setitem(EXTRAS, "serve", ("fastapi", "no_such_module"))
    said = ssah("serve", shared.folder)
    assert "needs no_such_module: pip install 'ssah-tf[serve]'" in said.err


def test_tokens(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(command.SsahError, match="cannot be read"):
        command.read_token(file)
    for text in ("", "short", "x" * 15, "with spaces in the middle", "line\nline\nline\nline"):
        file.write_text(text)
        with pytest.raises(command.SsahError, match="16 or more letters and digits"):
            command.read_token(file)
    file.write_text("é" * 20)
    with pytest.raises(command.SsahError, match="plain ASCII"):
        command.read_token(file)
    file.write_text("  0123456789abcdef\n")
    assert command.read_token(file) == "0123456789abcdef"


def test_pages_are_package_data():
    names = {path.name for path in (resources.files("ssah_tf.serve") / "web").iterdir()}
    assert {"search.html", "search.js", "style.css", "docs.html", "login.html", "icon.svg"} <= names
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    assert '"ssah_tf.serve" = ["web/*"]' in pyproject.read_text()
