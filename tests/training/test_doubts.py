"""What numbers do not say is said beside them; stored rows stand for the unchanged recipe alone."""

import numpy as np
import pytest

from ssah_tf.data import load_fashion
from ssah_tf.metrics import LabelLists
from ssah_tf.training import tables
from ssah_tf.training.auto import resolve
from ssah_tf.training.doubts import doubt_of_interval, doubts_of_split
from ssah_tf.training.recipe import load_recipe


def hot(*names, classes="cd"):
    return LabelLists.of(np.array([[c in name for c in classes] for name in names], np.uint8))


def test_thirty_cats_and_two_dogs():
    """Six cats ask 24 cats and two dogs: random codes reach nearly the share of cats, 24 / 26."""
    lines = doubts_of_split(hot(*"cccccc"), hot(*["c"] * 24, *"dd"), ("cat", "dog"))
    assert lines == [
        "only images of cat are queries, one of 2 classes, and guessing reaches 0.93: the numbers "
        "say nothing of the others",
        "1 of 2 classes have queries; not measured: dog (a class needs three labels, and images "
        "without a copy)",
        "only 6 queries: each moves a mean by 0.17",
    ]


def test_a_fair_split_has_no_doubts():
    assert doubts_of_split(hot(*"cd" * 10), hot(*"cd" * 20), ("cat", "dog")) == []


def test_everything_is_relevant():
    (line,) = doubts_of_split(hot(*["cd"] * 10), hot(*"cd" * 20), ("cat", "dog"))
    assert line == "every database image is relevant to every query: all codes reach 1"


def test_many_relevant_and_none():
    lines = doubts_of_split(hot(*["c"] * 10, *["d"] * 10), hot(*["cd"] * 9, "c"), ("cat", "dog"))
    assert lines == ["guessing reaches 0.96: the numbers say little"]
    lines = doubts_of_split(hot(*["c"] * 10, "d"), hot(*["c"] * 9, ""), ("cat", "dog"))
    assert lines[-1] == (
        "1 of 11 queries have nothing relevant in the database, and count 0: perfect codes reach "
        "an mAP of 0.9091"
    )


def test_names_of_strangers_are_escaped():
    lines = doubts_of_split(hot(*["c"] * 10), hot(*"cd" * 9), ("\x1b[31m", "\x1b[2J"))
    assert all("\x1b" not in line for line in lines)


@pytest.mark.parametrize(
    ("interval", "chance", "told"),
    [((0.5, 0.6), 0.4, 0), ((0.3, 0.6), 0.4, 1), ((0.4, 0.6), 0.4, 1), ((0.1, 0.2), 0.4, 1)],
)
def test_an_interval_that_holds_guessing(interval, chance, told):
    assert len(doubt_of_interval(interval, chance)) == told
    assert doubt_of_interval(None, chance) == []


@pytest.mark.parametrize(
    ("overrides", "there"),
    [((), True), (("seed=0",), True), (("model.bits=16",), False), (("seed=7",), False),
     (("train.joint=3",), False), (("data.labelled_per_class=50",), False)],
)  # fmt: skip
def test_stored_rows_are_those_of_the_recipe(overrides, there):
    recipe = resolve(load_recipe("fashion", overrides), load_fashion())
    assert (tables.stored_rows(recipe) is not None) == there


def test_no_rows_are_stored_of_other_recipes():
    assert tables.stored_rows(load_recipe("folder", ("name=fashion",))) is None
    assert tables.stored_rows(load_recipe("folder")) is None
