"""What a request passes before it is answered: by name, origin, token, rate, body and number."""

import ipaddress
import time
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from ssah_tf.serve.access import Access, Shown
from ssah_tf.serve.bodies import Bodies, Body, too_large
from ssah_tf.serve.conditional import conditional
from ssah_tf.serve.limits import Limits, RateLimiter, client_of, limits_of
from ssah_tf.serve.metrics import Metrics
from ssah_tf.serve.policy import POLICY
from ssah_tf.serve.refusals import Refusal, later, refuse
from ssah_tf.serve.settings import Settings

#: Status that is counted where a client broke off; none is sent.
GONE = 499
#: Sent with everything that does not say otherwise.
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
#: Digits of the length of a body that is worth looking at.
DIGITS = 15


class Gate:
    """ASGI middleware around the whole service.

    Args:
        app: The service.
        settings: Its limits.
        metrics: Where requests are counted.
    """

    def __init__(self, app: Starlette, settings: Settings, metrics: Metrics):
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.limiter = RateLimiter(settings.rate)
        self.access = Access(settings.token)
        self.bodies = Bodies(settings)
        self.running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request; put the headers on every answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self.below_root(scope)
        begin, status = time.perf_counter(), GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = list(message["headers"]) + [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in there
                ]
            await send(message)

        try:
            await self.pass_or_refuse(scope, receive, conditional(scope, send_with_headers))
        except Exception:
            status = 500
            raise
        finally:
            self.metrics.request(scope, status, time.perf_counter() - begin)

    def below_root(self, scope: Scope) -> Scope:
        """The request as the service is addressed: a proxy took the root path away."""
        root = self.settings.root_path
        scope = {**scope, "root_path": root, "path": root + scope["path"]}
        if scope["method"] == "HEAD":  # the server leaves the body out
            scope["method"] = "GET"
        return scope

    async def pass_or_refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask each guard in turn, then the service."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        of, client = limits_of(self.app.routes, scope), client_of(scope)
        shown = self.access.shown(headers)
        scope["state"] = {**scope.get("state", {}), "known": shown is Shown.RIGHT}
        body = Body(self.bodies, client)
        refusal = (
            self.check_host(headers)
            or self.check_site(scope, headers)
            or self.check_token(scope, shown, of, client)
            or self.check_length(headers)
            or self.check_rate(of, client)
        )
        try:
            refusal = refusal or await body.read(receive) or self.check_number(of)
            if refusal is not None:
                self.metrics.refused.labels(refusal.reason).inc()
                await refuse(refusal, receive, send, self.settings.timeout)
            elif not body.gone:
                await self.answer(of, scope, body.again(receive), send)
        finally:
            body.close()

    async def answer(self, of: Limits, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the service answer; meanwhile the request counts."""
        self.running[of.queue] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.running[of.queue] -= 1

    def check_host(self, headers: Mapping[str, str]) -> Refusal | None:
        """Against DNS rebinding: a page elsewhere can give its name our address, but not hide it.

        Addresses are no names, so they pass. So does who says none, as old programs do (HTTP/1.0).
        """
        if "host" not in headers:
            return None
        name = host_name(headers["host"])
        if name == "localhost" or name in self.settings.hosts or is_address(name):
            return None
        return Refusal(
            421, "host", "this service does not go by that name: see `ssah serve --allow-host`"
        )

    def check_site(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        """Other sites' pages may lead here, but not make a browser fetch or send anything.

        What a browser says of the site is right behind every proxy. On plain HTTP it says nothing,
        except to this machine: then the origin must be that which was asked for, or an allowed one.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
        if site in ("same-origin", "none") or origin in self.settings.origins:
            return None
        if scope["method"] == "GET":
            to_page = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
            if not site or to_page == ("navigate", "document"):
                return None
        elif not site and (origin is None or urlsplit(origin).netloc == headers.get("host", "")):
            return None
        return Refusal(
            403,
            "origin",
            "requests from pages of other sites are refused; for pages of this service behind a "
            "proxy see `ssah serve --allow-origin`",
        )

    def check_token(self, scope: Scope, shown: Shown, of: Limits, client: str) -> Refusal | None:
        """Only who knows the token, if there is one; a browser is sent to the page for it."""
        if shown is Shown.RIGHT or of.open:
            return None
        wait = self.access.wait(client) if shown is Shown.WRONG else 0
        if wait:
            return later(429, "token", "too many wrong tokens; try again later", wait)
        if of.login:
            to = (("location", login_for(scope)),)
            return Refusal(303, "token", "log in first", to)
        return Refusal(
            401,
            "token",
            "a token is needed: send it as 'Authorization: Bearer TOKEN'",
            (("www-authenticate", "Bearer"),),
        )

    def check_length(self, headers: Mapping[str, str]) -> Refusal | None:
        """A body that says it is too large is not read."""
        length, limit = headers.get("content-length", "0"), self.settings.max_upload
        if length.isascii() and length.isdigit() and len(length) <= DIGITS and int(length) <= limit:
            return None
        return too_large(limit)

    def check_rate(self, of: Limits, client: str) -> Refusal | None:
        """A client with too many requests waits."""
        wait = self.limiter.wait(client, of.cost, time.monotonic()) if of.cost else 0
        return later(429, "rate", "too many requests; try again soon", wait) if wait else None

    def check_number(self, of: Limits) -> Refusal | None:
        """So many at once, no more: the rest would only wait."""
        if not of.queue or self.running[of.queue] < self.settings.queue:
            return None
        return later(503, "queue", "too many requests at once; try again", 1)


def login_for(scope: Scope) -> str:
    """Address of the page for the token, which leads on to what is asked for."""
    query = scope["query_string"].decode("latin-1")
    root = scope["root_path"]
    asked = scope["path"].removeprefix(root).lstrip("/") + ("?" + query if query else "")
    return f"{root}/login?next={quote(asked)}" if asked else f"{root}/login"


def host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit("//" + host).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
