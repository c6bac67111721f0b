"""What the service answers, and what it refuses."""

import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from starlette.testclient import TestClient

from ssah_tf.serve.app import make_app
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.limits import PAGE, SEARCH, Limits, limits
from ssah_tf.serve.settings import Settings

TOKEN = "a-token-of-some-length"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def pairs(answer):
    assert answer.status_code == 200, answer.text
    return [(hit["distance"], hit["path"]) for hit in answer.json()["neighbours"]]


def mistake(answer, status):
    """The one line that an answer says."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    text = answer.json()["error"]
    assert len(text.splitlines()) == 1
    return text


def test_search_by_image(shared, client):
    """As the body, and as a field of a form; the neighbours are those worked out by hand."""
    http = client(shared)
    colour = (180, 20, 0)
    expected = shared.nearest(*colour)
    answer = http.post("/search", content=shared.body(*colour))
    assert pairs(answer) == expected
    found = answer.json()
    assert (found["bits"], found["photos"], found["model_id"]) == (24, 10, "hand-made")
    assert found["query"] == {
        "code": shared.code_of(*colour),
        "appearance": "",
        "photo": None,
        "labels": [],
        "damaged": "",
        "preview": "",
    }
    first = found["neighbours"][0]
    assert first["labels"] == ["red"]
    assert first["thumbnail"].startswith(f"/photos/{first['id']}/thumbnail?v=")
    form = {"image": ("a.png", shared.body(*colour), "image/png")}
    assert http.post("/search", files=form).json() == found
    drawn = http.post("/search?preview=true", content=shared.body(*colour)).json()
    assert drawn["query"]["preview"].startswith("data:image/png;base64,")
    assert pairs(http.post("/search?k=3", content=shared.body(*colour))) == expected[:3]
    assert pairs(http.post("/search", content=shared.body(*colour, kind="WEBP", lossless=True)))


def test_search_by_photo_and_code(shared, client):
    http = client(shared)
    path = "green/1.png"
    number = list(shared.colours).index(path)
    colour = shared.colours[path]
    by_id = http.post(f"/search?id={number}&k=4")
    assert pairs(by_id)[0] == (0, path)
    assert pairs(by_id) == shared.nearest(*colour)[:4]
    assert by_id.json()["query"]["photo"]["path"] == path
    assert http.post(f"/search?path={path}&k=4").json() == by_id.json()
    code = shared.code_of(*colour)
    assert pairs(http.post(f"/search?code={code}&k=4")) == pairs(by_id)
    assert "no such photo" in mistake(http.post("/search?id=10"), 404)
    assert "no such photo" in mistake(http.post("/search?path=../photos/red/0.png"), 404)
    assert "24 bits is expected" in mistake(http.post("/search?code=00"), 422)
    assert "not hexadecimal" in mistake(http.post("/search?code=xyz"), 422)
    assert "give one of" in mistake(http.post("/search?id=1&code=000000"), 422)


def test_search_by_label(with_unlabelled, client):
    """By the majority of its colours; `with_unlabelled` has what is worked out by hand."""
    index = with_unlabelled
    http = client(index)
    answer = http.post("/search?label_like=Blu")
    assert pairs(answer) == index.nearest(*index.of_blue, among="unlabelled")
    code = index.code_of(*index.of_blue)
    assert answer.json()["query"] == {
        "code": code,
        "appearance": "",
        "photo": None,
        "labels": ["blue", "blue sky"],
        "damaged": "",
        "preview": "",
    }
    sky = http.post("/search?label_like=blue%20sky&k=2")
    assert sky.json()["query"]["labels"] == ["blue sky"]
    assert pairs(sky) == index.nearest(100, 180, 255, among="unlabelled")[:2]
    near = index.nearest(*index.of_blue, among="unlabelled/c")
    assert pairs(http.post("/search?label_like=blue&filter=path=*/c*")) == near
    red = index.nearest(*index.of_blue, among="red")
    assert pairs(http.post("/search?label_like=blue&filter=label=red")) == red
    assert pairs(http.post("/search?label_like=blue&radius=0")) == []
    text = mistake(http.post("/search?label_like=blou"), 422)
    assert text.startswith("no label of the index matches 'blou'; near are blue")
    assert "no word to find" in mistake(http.post("/search?label_like="), 422)
    assert "label_like: " in mistake(http.post(f"/search?label_like={'x' * 201}"), 422)
    assert "give one of" in mistake(http.post("/search?label_like=blue&id=1"), 422)


def test_search_by_label_where_all_or_none_have_one(shared, own, client):
    text = mistake(client(shared).post("/search?label_like=blue"), 422)
    assert "every photo of the index has a label" in text
    for name in ("red", "green", "blue"):
        (own.photos / name).rename(own.photos / f".{name}")
    (own.photos / "unlabelled").mkdir()
    (own.photos / "unlabelled" / "a.png").write_bytes(own.body(1, 2, 3))
    own.sync()
    text = mistake(client(own).post("/search?label_like=blue"), 422)
    assert "no photo of the index has a label" in text


def test_radius_and_filters(shared, client):
    http = client(shared)
    image = shared.body(150, 0, 0)
    near = shared.nearest(150, 0, 0)
    for radius in (0, 2, 24):
        within = [pair for pair in near if pair[0] <= radius]
        assert pairs(http.post(f"/search?radius={radius}", content=image)) == within
    blue = shared.nearest(150, 0, 0, among="blue")
    assert pairs(http.post("/search?filter=label=blue", content=image)) == blue
    two = http.post("/search?filter=label=blue|green&filter=path=*/1.png", content=image)
    assert {path for _, path in pairs(two)} == {"blue/1.png", "green/1.png"}
    text = mistake(http.post("/search?filter=label=bleu", content=image), 422)
    assert "no photo of the index has the label 'bleu'; there are blue" in text
    assert "expected label=" in mistake(http.post("/search?filter=size=3", content=image), 422)
    assert pairs(http.post("/search?filter=label=blue&radius=0", content=image)) == []


def test_encode(shared, client):
    http = client(shared)
    answer = http.post("/encode", content=shared.body(1, 130, 250))
    code = shared.code_of(1, 130, 250)
    expected = {"code": code, "appearance": "", "bits": 24, "model_id": "hand-made"}
    assert answer.json() == expected


@pytest.mark.parametrize(
    "query", ["k=0", "k=1001", "k=x", "radius=-1", "id=-1", "id=1e3", f"id={2**64}"]
)
def test_values_that_cannot_be(shared, client, query):
    name = query.partition("=")[0]
    text = mistake(client(shared).post(f"/search?{query}", content=shared.body(0, 0, 0)), 422)
    assert text.startswith(f"{name}: ")


def test_what_is_no_image(shared, client):
    http = client(shared, max_pixels=1000)
    assert "no image: send it" in mistake(http.post("/search"), 422)
    for content in (b"no", b"GIF89a", shared.body(1, 2, 3)[:-20], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        assert mistake(http.post("/search", content=content), 422).startswith("the image: ")
    large = shared.body(1, 2, 3, size=(40, 26))
    assert "40 x 26 pixels, the limit is 1,000" in mistake(http.post("/search", content=large), 413)
    form = {"picture": ("a.png", shared.body(1, 2, 3))}
    assert "no file in a field called 'image'" in mistake(http.post("/search", files=form), 422)
    assert "no file" in mistake(
        http.post("/search", data={"image": "text"}, files={"other": b"x"}), 422
    )


def test_what_is_too_large(shared, client):
    http = client(shared, max_upload=2000)
    text = "the upload is too large: at most 0.00191 MiB"
    assert mistake(http.post("/search", content=bytes(2001)), 413) == text
    chunks = (bytes(100) for _ in range(50))
    answer = http.post("/search", content=chunks)  # says no length
    assert "transfer-encoding" in answer.request.headers
    assert mistake(answer, 413) == text
    assert mistake(http.post("/search", files={"image": bytes(3000)}), 413) == text
    assert http.post("/search", content=shared.body(1, 2, 3)).status_code == 200


def test_photos_and_pictures(shared, client):
    http = client(shared)
    some = http.get("/photos?count=5").json()
    assert len({photo["id"] for photo in some}) == 5
    assert len(http.get("/photos").json()) == 10
    reds = http.get("/photos?filter=label=red").json()
    assert sorted(photo["path"] for photo in reds) == [f"red/{i}.png" for i in range(4)]
    photo = http.get("/photos/7").json()
    assert photo["path"] == list(shared.colours)[7]
    for address in (photo["thumbnail"], photo["image"]):
        answer = http.get(address)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["cache-control"].startswith("private, max-age=")
        picture = Image.open(io.BytesIO(answer.content))
        assert picture.size == (12, 12)
        assert picture.getpixel((5, 5)) == shared.colours[photo["path"]]
    for address in ("/photos/99", "/photos/99/image", "/photos/99/thumbnail"):
        assert mistake(http.get(address), 404) == "no such photo in the index"
    assert http.head("/photos/7/thumbnail").status_code == 200


def test_state(shared, client):
    http = client(shared)
    health = {"status": "ok", "model_id": "hand-made", "photos": 10, "missing": 0}
    assert http.get("/healthz").json() == health
    about = http.get("/about").json()
    assert about["labels"] == {"red": 4, "blue": 3, "green": 3}
    http.post("/search?id=1")
    http.get("/nothing/here")
    text = http.get("/metrics").text
    assert "ssah_photos 10.0" in text
    assert 'ssah_requests_total{route="/search",status="200"} 1.0' in text
    assert 'ssah_requests_total{route="none",status="404"} 1.0' in text
    assert 'ssah_work_seconds_count{step="search"} 1.0' in text


def test_headers(shared, client):
    """On pages, on answers and on refusals; nobody else's page may read or show any of it."""
    http = client(shared)
    for answer in (
        http.get("/"),
        http.get("/healthz", headers={"origin": "http://other.example"}),
        http.get("/photos/1/thumbnail"),
        http.get("/nothing"),
        http.get("/", headers={"host": "other.example"}),
    ):
        assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7", 200),
        ("photos.example:8000", 200),
        ("photos.example.", 200),
        ("other.example", 421),
        ("127.0.0.1.other.example", 421),
        ("localhost.other.example", 421),
        ("", 421),
        ("[::1", 421),
        ("a@other.example", 421),
    ],
)
def test_host(shared, client, host, status):
    """A name that was made to lead here (DNS rebinding) is refused, with everything behind it."""
    http = client(shared, hosts=frozenset({"photos.example"}))
    for path in ("/healthz", "/", "/photos/1/image"):
        assert http.get(path, headers={"host": host}).status_code == status


def test_origin(shared, client):
    """Pages of other sites cannot make a browser search here."""
    http = client(shared)
    for origin, status in (
        ("http://127.0.0.1", 200),
        ("http://127.0.0.1:81", 403),
        ("http://other.example", 403),
        ("null", 403),
    ):
        assert http.post("/search?id=1", headers={"origin": origin}).status_code == status


def test_token(shared, client):
    http = client(shared, token=TOKEN)
    assert http.get("/healthz").json() == {"status": "ok"}
    for method, path in (
        ("GET", "/about"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/photos"),
        ("GET", "/photos/1/thumbnail"), ("POST", "/search?id=1"), ("POST", "/encode"),
        ("GET", "/nothing"), ("GET", "//photos/1"), ("GET", "/healthz/../photos/1"),
        ("GET", "/static/../photos/1"), ("GET", "/static/%2e%2e/photos/1"), ("POST", "/"),
    ):  # fmt: skip
        answer = http.request(method, path)
        assert answer.status_code in (401, 404), (path, answer.status_code)
        assert "red" not in answer.text
    answer = http.get("/about")
    assert "a token is needed" in mistake(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"):
        headers = {"authorization": wrong.encode()}
        assert http.get("/about", headers=headers).status_code == 401
    assert http.get("/about", headers=BEARER).status_code == 200
    assert http.get("/healthz", headers=BEARER).json()["photos"] == 10


def test_login(shared, client):
    http = client(shared, token=TOKEN)
    answer = http.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'type="password"' in http.get("/login").text
    wrong = http.post("/login", data={"token": "wrong"}, follow_redirects=False)
    assert wrong.headers["location"] == "/login?wrong"
    assert "set-cookie" not in wrong.headers
    other = {"origin": "http://other.example"}
    assert http.post("/login", data={"token": TOKEN}, headers=other).status_code == 403
    right = http.post("/login", data={"token": f" {TOKEN} "}, follow_redirects=False)
    assert right.headers["location"] == "/"
    cookie = right.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert http.get("/about").json()["token"] is True
    assert 'id="drop"' in http.get("/").text
    http.post("/logout")
    assert http.get("/about").status_code == 401
    for forged in ("x", TOKEN, "é"):
        headers = {"cookie": f"ssah_session={forged}".encode()}
        assert http.get("/about", headers=headers).status_code == 401


def test_rate(shared, client):
    """A bucket of two seconds' worth; pictures count as a twentieth."""
    http = client(shared, rate=0.5)
    assert http.post("/search?id=1").status_code == 200
    answer = http.post("/search?id=1")
    assert mistake(answer, 429) == "too many requests; try again soon"
    assert answer.headers["retry-after"] == "2"
    assert http.get("/healthz").status_code == 200
    http = client(shared, rate=0.001)
    answers = [http.get("/photos/1/thumbnail").status_code for _ in range(22)]
    assert answers == [200] * 20 + [429] * 2


def test_pages_ask_for_nothing_outside(shared, client):
    http = client(shared)
    for path in ("/", "/docs", "/login"):
        page = http.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
        assert addresses
        assert not [a for a in addresses if a.startswith("/") or ":" in a]  # whatever the prefix
        for address in addresses:
            if address.startswith("static/"):
                file = http.get(f"/{address}")
                assert file.status_code == 200
                text = file.text.replace("http://www.w3.org/2000/svg", "")
                assert "http:" not in text
                assert "https:" not in text
        again = http.get(path, headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_description(shared, client):
    """The OpenAPI description names every route with what it answers."""
    api = client(shared).get("/openapi.json").json()
    assert api["openapi"].startswith("3.")
    assert set(api["paths"]) == {
        "/search", "/encode", "/photos", "/photos/{id}", "/photos/{id}/thumbnail",
        "/photos/{id}/image", "/healthz", "/about", "/metrics", "/months", "/folders",
    }  # fmt: skip
    search = api["paths"]["/search"]["post"]
    assert {p["name"] for p in search["parameters"]} == {
        "id", "path", "code", "model_id", "label_like", "k", "radius", "filter", "order", "preview"
    }  # fmt: skip
    assert set(search["requestBody"]["content"]) == {
        "image/*", "application/octet-stream", "multipart/form-data"
    }  # fmt: skip
    assert "required" not in search["requestBody"]
    assert api["paths"]["/encode"]["post"]["requestBody"]["required"] is True
    for kind in ("thumbnail", "image"):
        answers = api["paths"][f"/photos/{{id}}/{kind}"]["get"]["responses"]
        assert set(answers["200"]["content"]) == {"image/jpeg", "image/png"}
        assert "304" in answers
    assert set(api["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    assert "security" not in api
    answer = search["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert answer.endswith("/SearchAnswer")
    assert "http" not in json.dumps(api)


def test_description_of_the_token(shared, client):
    """Programs show it as a bearer, browsers as a cookie; what is open needs none."""
    api = client(shared, token=TOKEN).get("/openapi.json", headers=BEARER).json()
    schemes = api["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
    assert schemes["session"] == {"type": "apiKey", "in": "cookie", "name": "ssah_session"}
    assert api["security"] == [{"token": []}, {"session": []}]
    free = [
        path
        for path, methods in api["paths"].items()
        if methods.get("get", {}).get("security") == []
    ]
    assert free == ["/healthz"]


def test_a_new_route_carries_its_limits(shared):
    """Without a mark it needs the token and counts as nothing; a mark says what else it is."""
    service = make_app(LiveLibrary(shared.folder), Settings(token=TOKEN, rate=0.5))
    app = service.app

    @app.get("/closed")
    async def closed() -> str:
        return "closed"

    @app.get("/free")
    @limits(Limits(open=True))
    async def free() -> str:
        return "free"

    @app.get("/dear")
    @limits(SEARCH)
    async def dear() -> str:
        return "dear"

    @app.get("/shown")
    @limits(PAGE)
    async def shown() -> str:
        return "shown"

    http = TestClient(service, base_url="http://127.0.0.1", follow_redirects=False)
    answers = {path: http.get(path) for path in ("/closed", "/free", "/dear", "/shown")}
    assert {path: a.status_code for path, a in answers.items()} == {
        "/closed": 401, "/free": 200, "/dear": 401, "/shown": 303
    }  # fmt: skip
    assert answers["/shown"].headers["location"] == "/login?next=shown"
    for path, status in (("/closed", [200] * 3), ("/shown", [200] * 3), ("/dear", [200, 429, 429])):
        assert [http.get(path, headers=BEARER).status_code for _ in range(3)] == status
    assert http.post("/free").status_code == 401  # another method is another route
    assert http.post("/free", headers=BEARER).status_code == 405


def test_so_many_at_once(shared):
    """Requests of one queue are counted together, those of another apart."""
    service = make_app(LiveLibrary(shared.folder), Settings(queue=1))
    begun, go_on = threading.Event(), threading.Event()

    @service.app.get("/slow")
    @limits(Limits(queue="slow"))
    def slow() -> str:
        begun.set()
        go_on.wait(30)
        return "done"

    @service.app.get("/other")
    @limits(Limits(queue="other"))
    def other() -> str:
        return "other"

    with TestClient(service, base_url="http://127.0.0.1") as http, ThreadPoolExecutor(1) as pool:
        first = pool.submit(http.get, "/slow")
        assert begun.wait(30)
        answer = http.get("/slow")
        assert mistake(answer, 503) == "too many requests at once; try again"
        assert answer.headers["retry-after"] == "1"
        assert http.get("/other").json() == "other"
        go_on.set()
        assert first.result().json() == "done"
        assert http.get("/slow").json() == "done"
