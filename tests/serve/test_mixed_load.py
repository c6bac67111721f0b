"""The mixed load of a service: a short form of it, and that each of its bars can be missed."""

import asyncio
import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("psutil")
FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def mixed():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("serve_mixed", FOLDER / "serve_mixed.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
        sys.modules.pop("serve_clients", None)


@pytest.mark.parametrize(
    ("seconds", "speed"), [(1.5, 20_000), pytest.param(20, 5_000, marks=pytest.mark.slow)]
)
def test_short_form(shared, mixed, tmp_path, seconds, speed):
    """Clients of every kind get answers, and the right ones."""
    bodies = [shared.body(*colour) for colour in shared.colours.values()]
    mix = mixed.Mix(
        clients=4, seconds=seconds, slow=20, speed=speed, others=1, megapixels=0.2, every=1, rest=0
    )
    tmp_path.chmod(0o755)
    result = asyncio.run(mixed.measure(shared.folder, tmp_path, bodies, mix))
    assert (result["odd"], result["wrong"]) == ([], 0), result
    for kind in ("plain 200", "slow 200", "large 200", "picture 200", "filter 200"):
        assert result["mixed"][kind] > 0, result
    assert result["mixed"]["too costly 422"] > 0
    assert result["bars"]["Retry-After with every 503"]
    assert result["median_ms"]["plain"] > 0
    memory = result["memory_mib"]
    assert memory["peak"] >= memory["end"] > 10
    assert (result["proxy_restarts"] > 0) == result["nginx"]


def test_bars_can_be_missed(mixed):
    """Each by what it is about, worked out by hand."""
    fine = {"start": 100 * 2**20, "peak": 900 * 2**20, "end": 184 * 2**20}

    def missed(memory=fine, seconds=1.5, **found):
        plain = mixed.Found(answers=Counter({"plain 200": 1}), plain=[1.0])
        found = {"answers": Counter({"plain 200": 1}), **found}
        result = mixed.report(plain, mixed.Found(plain=[seconds], **found), memory, mixed.Mix())
        return [bar for bar, met in result["bars"].items() if not met]

    allowed = Counter({"plain 503": 1, "slow 429": 1, "too costly 422": 1, "plain lost": 1})
    assert missed(answers=allowed, proxy_restarts=1) == []
    for odd in (
        "plain 500",
        "plain 429",
        "slow lost",
        "filter 422",
        "too costly 200",
        "plain lost",
    ):
        assert missed(answers=Counter({odd: 1})) == ["no status that was not to be"]
    dead = Counter({"plain 400": 1, "picture 400": 1})
    assert missed(answers=dead, killed=2) == []
    assert missed(answers=dead, killed=1) == ["no status that was not to be"]
    assert missed(bare=1) == ["Retry-After with every 503"]
    assert missed(wrong=1) == ["no wrong answer"]
    assert missed(seconds=1.51) == ["median at most 1.5 times"]
    assert missed({**fine, "end": fine["end"] + 1}) == ["memory is given back"]
