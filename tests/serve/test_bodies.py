"""Bodies that come slowly, break off, or are too many: nobody else waits for them."""

import asyncio
import json

import pytest

from ssah_tf.serve import bodies
from ssah_tf.serve.app import make_app
from ssah_tf.serve.bodies import Bodies, Body
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.settings import Settings


class Request:
    """A request to a service whose body is handed over part by part."""

    def __init__(self, app, path="/encode", client="10.0.0.1", **more):
        self.parts, self.sent = asyncio.Queue(), []
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"",
            "headers": [(b"host", b"localhost")], "client": (client, 1), "scheme": "http",
            "http_version": "1.1", "server": ("127.0.0.1", 80), **more,
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self.parts.get, self.send))

    async def send(self, message):
        self.sent.append(message)

    def give(self, part, more=True):
        self.parts.put_nowait({"type": "http.request", "body": part, "more_body": more})
        return self

    def leave(self):
        self.parts.put_nowait({"type": "http.disconnect"})
        return self

    async def begun(self):
        """Until all that was given is taken in."""
        while not self.parts.empty():
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def answer(self):
        """Status and body, or `None` if nothing was sent."""
        self.leave()
        await asyncio.wait_for(self.task, 60)
        if not self.sent:
            return None
        body = b"".join(m.get("body", b"") for m in self.sent[1:])
        return self.sent[0]["status"], json.loads(body)


@pytest.fixture
def service(shared):
    """Makes services: `service(**settings)`."""
    return lambda **settings: make_app(LiveLibrary(shared.folder), Settings(rate=0, **settings))


def test_a_body_takes_no_place_until_it_is_in(shared, service):
    """One search at a time; three bodies on their way do not count as one."""
    content = shared.body(0, 0, 255)

    async def run():
        app = service(queue=1)
        slow = [Request(app).give(content[:20]) for _ in range(3)]
        for request in slow:
            await request.begun()
        assert not app.running
        status, found = await Request(app).give(content, more=False).answer()
        assert (status, found["code"]) == (200, shared.code_of(0, 0, 255))
        status, found = await slow[1].give(content[20:], more=False).answer()
        assert (status, found["code"]) == (200, shared.code_of(0, 0, 255))
        assert [await slow[at].answer() for at in (0, 2)] == [None, None]
        assert not app.bodies.held
        assert app.bodies.total == 0

    asyncio.run(run())


def test_slow_uploads_of_one_client(shared, service, monkeypatch):
    """Each client has so many places for them; what comes at once needs none."""
    monkeypatch.setattr(bodies, "SLOW", 0.0)
    content = shared.body(0, 0, 255)

    async def run():
        app = service(slow_uploads=2)
        slow = [Request(app).give(content[:20]) for _ in range(4)]
        other = Request(app, client="10.0.0.2").give(content[:20])
        while not (slow[2].sent and slow[3].sent):
            await asyncio.sleep(0)
        for request in slow[2:]:
            status, found = await request.answer()
            assert (status, found["error"]) == (429, "too many slow uploads at once; try again")
            assert (b"retry-after", b"5") in request.sent[0]["headers"]
        assert (await Request(app).give(content, more=False).answer())[0] == 200
        for request in (other, *slow[:2]):
            assert (await request.give(content[20:], more=False).answer())[0] == 200
        assert not app.bodies.slow

    asyncio.run(run())


def test_bytes_are_bounded(service):
    """A client holds 32 of the largest uploads, all together 64; then the room is given back."""

    async def run():
        app = service(max_upload=1000)
        mine = [Request(app).give(bytes(1000)) for _ in range(33)]
        for request in mine:
            await request.begun()
        assert [bool(request.sent) for request in mine] == [False] * 32 + [True]
        assert (await mine[32].answer())[0] == 429
        others = [Request(app, client=f"10.1.0.{n}").give(bytes(1000)) for n in range(33)]
        for request in others:
            await request.begun()
        status, found = await others[32].answer()
        assert (status, found["error"]) == (503, "too many large uploads at once; try again")
        assert (b"retry-after", b"1") in others[32].sent[0]["headers"]
        assert [await request.answer() for request in (*mine[:32], *others[:32])] == [None] * 64
        assert (app.bodies.total, len(app.bodies.held)) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/search", b"image/jpeg"),
        ("/encode", b"multipart/form-data; boundary=b"),
        ("/login", b"application/x-www-form-urlencoded"),
        ("/logout", b"application/json"),
    ],
)
def test_what_breaks_off(service, path, kind):
    """Nothing is answered and nothing is wrong; it is counted as 499."""

    async def run():
        app = service()
        headers = [(b"host", b"localhost"), (b"content-type", kind)]
        assert await Request(app, path, headers=headers).give(b"--b\r\n").leave().answer() is None
        text, _ = app.metrics.page()
        assert b'ssah_requests_total{route="none",status="499"} 1.0' in text
        assert not app.running
        assert app.bodies.total == 0

    asyncio.run(run())


def test_without_a_host(service):
    """As checks of health by HTTP/1.0 come; who says a name must say one of ours."""

    async def run():
        app = service()
        for headers, status in (([], 200), ([(b"host", b"other.example")], 421)):
            request = Request(app, "/healthz", method="GET", headers=headers, http_version="1.0")
            assert (await request.give(b"", more=False).answer())[0] == status

    asyncio.run(run())


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop that does not wait for a time: it is there at once."""

    def __init__(self):
        super().__init__()
        self.passed = 0.0
        select = self._selector.select

        def at_once(timeout):
            self.passed += timeout or 0
            return select(0)

        self._selector.select = at_once

    def time(self):
        return self.passed


def arrives(size, rate, pause=0.8):
    """Read a body of a size at a rate, bytes a second: why it is refused, and seconds of that."""
    body = Body(Bodies(Settings()), "a client")
    left = size

    async def receive():
        nonlocal left
        await asyncio.sleep(pause)
        part = min(left, round(rate * pause))
        left -= part
        return {"type": "http.request", "body": bytes(part), "more_body": left > 0}

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        refusal = runner.run(body.read(receive))
        return refusal, runner.get_loop().time()


def test_what_gets_on_may_take_its_time():
    """A photo over a slow uplink takes 48 s, over a bad one 4 minutes."""
    for rate, seconds in ((20_000, 48), (4_000, 240)):
        refusal, took = arrives(960_000, rate)
        assert refusal is None
        assert took == pytest.approx(seconds, abs=4)


def test_what_does_not_get_on_is_given_up():
    for rate, pause in ((500, 0.8), (0, 0.8), (20_000, 100)):
        refusal, took = arrives(960_000, rate, pause)
        assert (refusal.status, refusal.reason) == (408, "slow")
        assert refusal.message == "the upload came too slowly: at least 2 kB a second are needed"
        assert "retry-after" not in dict(refusal.headers)
        assert took == pytest.approx(30, abs=4)
