"""Who is let in: pages of other sites, wrong tokens, and what a client has already."""

import pytest

from ssah_tf.serve.access import Access, Shown, session_of

TOKEN = "a-token-of-some-length"
BEARER = {"authorization": f"Bearer {TOKEN}"}
OTHER = "http://photos.example:8080"


def fetched(site, mode="no-cors", dest="image", **more):
    """The headers by which a browser says what a request is for."""
    return {
        "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest, **more
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (fetched("cross-site"), 403),
        (fetched("same-site"), 403),
        (fetched("cross-site", "cors", "empty"), 403),
        (fetched("cross-site", "navigate", "iframe"), 403),
        (fetched("cross-site", "navigate", "document"), 200),
        (fetched("same-origin"), 200),
        (fetched("none", "navigate", "document"), 200),
        (fetched("cross-site", origin=OTHER), 200),
        ({}, 200),
    ],
)
def test_pages_of_other_sites_fetch_nothing(shared, client, headers, status):
    """They may lead here, and no more."""
    http = client(shared, origins=frozenset({OTHER}))
    for path in ("/photos?filter=path=*a*", "/photos/1/image", "/healthz", "/"):
        for method in ("GET", "HEAD"):
            assert http.request(method, path, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (fetched("same-origin", origin="http://hidden.example"), 200),
        (fetched("cross-site", origin="http://127.0.0.1"), 403),
        (fetched("cross-site", "navigate", "document"), 403),
        (fetched("same-site"), 403),
        ({"origin": OTHER}, 200),
        ({"origin": "http://photos.example"}, 403),
        ({"origin": "http://127.0.0.1"}, 200),
        ({}, 200),
    ],
)
def test_pages_of_other_sites_send_nothing(shared, client, headers, status):
    """What a browser says of the site counts before names, which a proxy may change."""
    http = client(shared, origins=frozenset({OTHER}))
    answer = http.post("/search?id=1", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "see `ssah serve --allow-origin`" in answer.json()["error"]


def test_wrong_tokens_are_paced(shared, client):
    """By address; the right one is let in all the same, and none at all is no wrong one."""
    http = client(shared, token=TOKEN)
    wrong = {"authorization": "Bearer wrong"}
    answers = [http.get("/about", headers=wrong) for _ in range(30)]
    assert {answer.status_code for answer in answers[:10]} == {401}
    paced = [answer for answer in answers if answer.status_code == 429]
    assert len(paced) > 5
    assert paced[-1].json() == {"error": "too many wrong tokens; try again later"}
    assert int(paced[-1].headers["retry-after"]) >= 1
    assert http.get("/about", headers=BEARER).status_code == 200
    assert http.get("/about").status_code == 401
    cookie = {"cookie": f"ssah_session={session_of(TOKEN)}"}
    assert http.get("/about", headers=cookie).status_code == 200
    stale = {"cookie": "ssah_session=old"}  # what the page for the token needs is there
    assert http.get("/login", headers=stale).status_code == 200
    login = [
        http.post("/login", data={"token": word}, follow_redirects=False) for word in ("x", TOKEN)
    ]
    assert [answer.headers["location"] for answer in login] == ["/login?paced", "/"]


def test_wrong_tokens_of_another_address():
    access = Access(TOKEN)
    waits = [access.wait("10.0.0.1") for _ in range(30)]
    assert waits[:10] == [0] * 10
    assert waits[-1] > 0
    assert access.wait("10.0.0.2") == 0


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, Shown.NOTHING),
        ({"cookie": "theme=dark; other"}, Shown.NOTHING),
        ({"cookie": f"a=b; ssah_session={session_of(TOKEN)}; c=d"}, Shown.RIGHT),
        ({"cookie": f'ssah_session="{session_of(TOKEN)}"'}, Shown.WRONG),
        ({"cookie": "ssah_session=" + '"\\' * 20_000}, Shown.WRONG),
        ({"cookie": f"ssah_session={TOKEN}"}, Shown.WRONG),
        ({"authorization": f"bearer  {TOKEN} "}, Shown.RIGHT),
        ({"authorization": f"Basic {TOKEN}"}, Shown.WRONG),
        ({"authorization": "Bearer x", "cookie": f"ssah_session={session_of(TOKEN)}"}, Shown.RIGHT),
    ],
)
def test_what_is_shown(headers, shown):
    assert Access(TOKEN).shown(headers) is shown
    assert Access(None).shown(headers) is Shown.RIGHT


@pytest.mark.parametrize(
    "path",
    ["/photos/1/thumbnail", "/photos/1/image", "/static/search.js", "/", "/openapi.json", "/about"],
)
def test_what_a_client_has_is_not_sent_again(shared, client, path):
    """Whatever a proxy made of its tag."""
    http = client(shared)
    whole = http.get(path)
    tag = whole.headers["etag"]
    assert whole.content
    assert tag.startswith('"')
    for there in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = http.get(path, headers={"if-none-match": there})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers.get("cache-control") == whole.headers.get("cache-control")
        assert "content-length" not in again.headers
        assert "default-src" in again.headers["content-security-policy"]
        assert http.head(path, headers={"if-none-match": there}).status_code == 304
    other = http.get(path, headers={"if-none-match": '"x"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert http.head(path).headers["content-length"] == str(len(whole.content))
    assert "etag" not in http.get("/photos/99/image").headers


def test_a_length_that_is_none(shared, client):
    for length in ("9" * 5000, "1" * 16, "-1", "٣"):
        headers = {"content-length": length.encode()}
        assert client(shared).post("/search", content=b"x", headers=headers).status_code == 413
