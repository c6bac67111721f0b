"""What `serve_mixed.py` loads a service with: the service, its proxy, and clients that count."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SERVER = """daemon off; pid {folder}/pid; error_log stderr crit; events {{}}
http {{ access_log off; client_max_body_size 64m; {temporary}
server {{ listen 127.0.0.1:{listens}; location / {{ proxy_pass http://127.0.0.1:{port};
proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; }} }} }}
"""


@dataclass
class Found:
    """What came of a load.

    Attributes:
        answers: "kind status" -> how many; "kind lost" for those of which no answer came.
        wrong: Answers that are not those expected.
        bare: 503 without Retry-After.
        plain: Seconds of each plain search.
        killed: Processes that were killed.
        proxy_restarts: How often the proxy was ended.
    """

    answers: Counter = field(default_factory=Counter)
    wrong: int = 0
    bare: int = 0
    plain: list[float] = field(default_factory=list)
    killed: int = 0
    proxy_restarts: int = 0


class Service:
    """A real `ssah serve`, and nginx before it if there is one.

    Args:
        index: The folder of the index.
        folder: For files of nginx.
        more: More options.
    """

    def __init__(self, index: Path, folder: Path, *more: str):
        self.folder, self.proxy, self.proxy_port = folder, None, 0
        words = [sys.executable, "-m", "ssah_tf.cli", "serve", str(index), "--port", "0"]
        words += ["--rate", "0", "--forwarded-allow-ips", "127.0.0.1", *more]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = "begin"
        while "search page" not in line:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the service did not start")
        self.port = int(line.split("/ ")[0].rpartition(":")[2])
        if NGINX:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.proxy_port = free.getsockname()[1]
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
            named = {"folder": folder, "port": self.port, "listens": self.proxy_port}
            (folder / "nginx.conf").write_text(SERVER.format(temporary=temporary, **named))
            self.start_proxy()

    @property
    def front(self) -> int:
        """The port that plain clients ask."""
        return self.proxy_port or self.port

    def start_proxy(self) -> None:
        """Start nginx, after an end of the one before."""
        if self.proxy is not None:
            self.proxy.terminate()
            self.proxy.wait()
        file = str(self.folder / "nginx.conf")
        self.proxy = subprocess.Popen([NGINX, "-e", "stderr", "-c", file])

    def kill_below(self) -> int:
        """Kill the processes below the service; how many."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        for process in below:
            process.kill()
        return len(below)

    def memory(self) -> int:
        """Bytes of all processes of the service."""
        total = 0
        first = psutil.Process(self.process.pid)
        for process in (first, *first.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    def close(self) -> None:
        """End both."""
        for process in (self.proxy, self.process):
            if process is not None:
                process.terminate()
                process.wait()
        self.process.stdout.close()


class Client:
    """A connection over which requests go, one after another; a lost one is made anew."""

    def __init__(self, port: int, kind: str, found: Found):
        self.port, self.kind, self.found = port, kind, found
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, line: str, body: bytes = b"", expected=None, speed: int = 0):
        """Send a request, count its answer, compare it.

        Args:
            line: Method and address.
            body: What is sent.
            expected: (id, distance) of the neighbours; `None` if nothing is compared.
            speed: Bytes a second; 0 for at once.

        Returns:
            The body of the answer; b"" if it is none.
        """
        try:
            status, headers, content = await self.exchange(line, body, speed)
        except (OSError, EOFError, ValueError):
            self.close()
            self.found.answers[f"{self.kind} lost"] += 1
            await asyncio.sleep(0.2)
            return b""
        self.found.answers[f"{self.kind} {status}"] += 1
        self.found.bare += status == 503 and "retry-after" not in headers
        if status == 200 and expected is not None:
            found = [(hit["id"], hit["distance"]) for hit in json.loads(content)["neighbours"]]
            self.found.wrong += found != expected
        return content if status == 200 else b""

    async def exchange(self, line: str, body: bytes, speed: int):
        """Status, headers and body of an answer."""
        if self.writer is None:
            opened = asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            self.reader, self.writer = await opened
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + (b"" if speed else body))
        answer = asyncio.ensure_future(self.reader.readuntil(b"\r\n\r\n"))
        for start in range(0, len(body) if speed else 0, max(1, speed // 4)):
            if answer.done():  # it may come before all is sent
                break
            self.writer.write(body[start : start + max(1, speed // 4)])
            await asyncio.sleep(0.25)
        first, *rest = (await answer).decode("latin-1").split("\r\n")
        headers = dict(one.lower().split(": ", 1) for one in rest if one)
        content = await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), headers, content

    def close(self) -> None:
        """Leave the connection."""
        if self.writer is not None:
            self.writer.close()
        self.writer = None
