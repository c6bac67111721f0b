"""Who knows the token: programs show it, browsers a cookie that comes of it."""

import enum
import hashlib
import hmac
import time
from collections.abc import Mapping

from ssah_tf.serve.limits import RateLimiter

#: Cookie of a browser that has shown the token.
COOKIE = "ssah_session"
#: Wrong tokens of a client in the long run, a second, and at once.
GUESSES, AT_ONCE = 0.5, 10.0


class Shown(enum.Enum):
    """What a request shows."""

    NOTHING = enum.auto()
    WRONG = enum.auto()
    RIGHT = enum.auto()


class Access:
    """Compares what is shown with the token, in constant time, and paces what is wrong.

    Args:
        token: The token; `None` if everybody may come in.
    """

    def __init__(self, token: str | None):
        self.token = token
        self.session = None if token is None else session_of(token)
        self.guesses = RateLimiter(GUESSES, AT_ONCE)

    def shown(self, headers: Mapping[str, str]) -> Shown:
        """What a request shows; all of them are right where there is no token."""
        if self.session is None:
            return Shown.RIGHT
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        cookie = cookie_of(headers.get("cookie", ""))
        if scheme.lower() == "bearer" and self.is_token(bearer.strip()):
            return Shown.RIGHT
        if cookie and equal(cookie, self.session):
            return Shown.RIGHT
        return Shown.WRONG if scheme or cookie else Shown.NOTHING

    def is_token(self, shown: str) -> bool:
        """Whether this is the token."""
        return self.token is not None and equal(shown, self.token)

    def wait(self, client: str) -> int:
        """Count a wrong token; the seconds for which its client has shown too many, 0 for none.

        The right one is never refused, so nobody can lock out others by wrong ones.
        """
        return self.guesses.wait(client, 1.0, time.monotonic())


def cookie_of(header: str) -> str:
    """The value of our cookie, "" if there is none; in linear time, which `http.cookies` is not."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def session_of(token: str) -> str:
    """What the cookie of a browser that has shown the token says: not the token itself."""
    return hmac.new(token.encode(), b"ssah-tf session", hashlib.sha256).hexdigest()


def equal(shown: str, secret: str) -> bool:
    """Compare in a time that does not tell how much is right."""
    return hmac.compare_digest(shown.encode(), secret.encode())
