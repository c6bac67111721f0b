"""Text of strangers on one line."""

import difflib

import pytest

from ssah_tf.system.text import (
    COMPARED,
    as_unicode,
    first_line,
    lines_of,
    near,
    plain_console,
    printable,
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("no such layer", "no such layer"),
        ("one\ntwo", "one"),
        ("\n  \nlate\n", "late"),
        ("", "ValueError"),
        (" \n ", "ValueError"),
    ],
)
def test_first_line_of_an_exception(message, line):
    assert first_line(ValueError(message)) == line


def test_an_exception_without_any_text():
    assert first_line(KeyError()) == "KeyError"
    assert first_line(KeyError("code"), "the message\nmore") == "the message"
    assert first_line(KeyError("code"), "") == "KeyError"
    assert lines_of(RuntimeError("a\n\n b ")) == ["a", "b"]


def test_control_characters_are_escaped():
    assert printable("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
    assert printable("naïve.jpg") == "naïve.jpg"


def test_bytes_that_are_no_text_are_marked():
    assert as_unicode("a\udcff.jpg") == "a�.jpg"
    assert as_unicode("ä.jpg") == "ä.jpg"


def test_a_console_takes_text_as_it_is(capsys):
    plain_console().print("[red]a[/red] :cat: [b")
    assert capsys.readouterr().out == "[red]a[/red] :cat: [b\n"


def test_what_is_near_is_found_among_many(monkeypatch):
    """Of any number of names only so many are compared, and a slip of the pen is among them."""
    known = [f"{number:05d}" for number in range(20_000)] + ["holiday", "hobby", "beach"]
    compared = []
    found = difflib.get_close_matches

    def recorded(word, possibilities, **more):
        compared.append(len(possibilities))
        return found(word, possibilities, **more)

    monkeypatch.setattr(difflib, "get_close_matches", recorded)
    assert near("holidya", known, 1) == ["holiday"]
    assert near("hob", iter(known), 3) == ["hobby"]
    assert near("x", [], 3) == []
    assert near("x" * 4000, known, 3) == []
    assert compared == [COMPARED, COMPARED, 0, COMPARED]
