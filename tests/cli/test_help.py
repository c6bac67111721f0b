"""Every help text of every command is a sentence: of the command, its arguments and options."""

import re

import pytest
import typer

from ssah_tf.cli.app import app

#: What a text says is done: its first word is a verb, its last has a full stop.
VERBS = (
    "Allow|Answer|Ask|Believe|Bring|Check|Choose|Compare|Compute|Connect|Encode|Exit|"
    "Export|Find|Give|Go|Group|Index|Keep|Learn|Leave|Listen|Load|Look|Make|Measure|Open|"
    "Override|Print|Put|Read|Refuse|Search|Serve|Show|Take|Train|Turn|Use|Write"
)
SENTENCE = re.compile(rf"({VERBS})( \S+){{2,}}\.")


def commands(command, name="ssah"):
    """Each command with its whole name."""
    yield name, command
    for word, part in getattr(command, "commands", {}).items():
        yield from commands(part, f"{name} {word}")


def texts():
    """Where a help text stands, and the text."""
    for name, command in commands(typer.main.get_command(app)):
        yield name, command.help
        for parameter in command.params:
            if parameter.name != "help":
                yield f"{name}, {parameter.opts[0]}", parameter.help


FOUND = dict(texts())


def test_the_whole_command_line_is_seen():
    assert {"ssah", "ssah train", "ssah data check", "ssah serve, --rate"} <= set(FOUND)
    assert len([where for where in FOUND if "," not in where]) >= 18
    assert {"ssah search, -k", "ssah search, queries"} <= set(FOUND)


@pytest.mark.parametrize("where", FOUND)
def test_a_help_text_is_a_sentence_that_says_what_is_done(where):
    text = " ".join((FOUND[where] or "").split())
    assert SENTENCE.fullmatch(text), f"{where}: {text!r}"
