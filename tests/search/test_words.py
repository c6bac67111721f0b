"""Which labels a typed word means."""

import pytest

from ssah_tf.search.filters import UnknownLabel
from ssah_tf.search.words import labels_like
from ssah_tf.system.errors import SsahError

LABELS = {
    "012.Yellow_headed-Blackbird": 9,
    "Brewer's Blackbird": 4,
    "Blackbird": 2,
    "Red_winged_Blackbird": 7,
    "Café Crème": 3,
    "STRASSE": 1,
    "🐦": 1,
    "red wine": 5,
    "salt|pepper": 2,
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # The label itself first, then those of most photos.
        (
            "blackbird",
            [
                "Blackbird",
                "012.Yellow_headed-Blackbird",
                "Red_winged_Blackbird",
                "Brewer's Blackbird",
            ],
        ),
        ("Red", ["Red_winged_Blackbird", "red wine"]),
        ("wi", ["Red_winged_Blackbird", "red wine"]),  # the start of a word
        ("inged", None),  # not its end
        ("bird", None),
        ("red black", ["Red_winged_Blackbird"]),  # each word, in any order
        ("black-RED", ["Red_winged_Blackbird"]),
        ("red  wine", ["red wine"]),
        ("cafe", ["Café Crème"]),
        ("cafe\u0301_CREM", ["Café Crème"]),
        ("straße", ["STRASSE"]),
        ("brewers", ["Brewer's Blackbird"]),
        ("brewer\u2019s", ["Brewer's Blackbird"]),
        ("12", None),
        ("012", ["012.Yellow_headed-Blackbird"]),
        ("🐦", ["🐦"]),
        ("pepper", ["salt|pepper"]),
    ],
)
def test_matches(word, expected):
    if expected is None:
        with pytest.raises(UnknownLabel):
            labels_like(word, LABELS)
    else:
        assert labels_like(word, LABELS) == expected


def test_of_labels_with_the_same_words_the_one_that_was_typed_is_first():
    labels = {"sea-gull": 9, "sea gull": 1, "sea gull chick": 20}
    assert labels_like("sea gull", labels) == ["sea gull", "sea-gull", "sea gull chick"]
    assert labels_like("sea-gull", labels) == ["sea-gull", "sea gull", "sea gull chick"]
    assert labels_like("Sea_Gull", labels) == ["sea-gull", "sea gull", "sea gull chick"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("blakbird", "no label of the index matches 'blakbird'; near are .*Blackbird"),
        ("wimged", "near are Red_winged_Blackbird"),
        (
            "xq\n",
            r"matches 'xq\\n'; there are 012.Yellow_headed-Blackbird, Brewer's Blackbird, "
            "Blackbird, Red_winged_Blackbird, Café Crème and 4 more",
        ),
    ],
)
def test_no_match_names_near_labels(word, message):
    with pytest.raises(UnknownLabel, match=message):
        labels_like(word, LABELS)


def test_nothing_to_look_for_or_to_look_at():
    for word in ("", " ", "\u0301", "\t"):
        with pytest.raises(SsahError, match="no word to find labels by"):
            labels_like(word, LABELS)
    with pytest.raises(SsahError, match=r"no photo of the index has a label: .* --labels"):
        labels_like("beach", {})
    with pytest.raises(UnknownLabel, match=r"there are sea$"):
        labels_like("beach", {"sea": 1})
