"""A file of lines: what was answered is there; a line that is not whole is dropped."""

import errno
import os

import pytest

from ssah_tf.system.errors import RunError
from ssah_tf.system.line_file import LineFile


def test_lines_stay_and_a_half_one_goes(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = LineFile(path, "remove it")
    assert lines.entries == []
    assert path.read_bytes() == b""
    lines.append({"a": 1})
    lines.append({"b": "\udcff\n"})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"c": ')
    again = LineFile(path, "remove it")
    assert again.entries == lines.entries == [{"a": 1}, {"b": "\udcff\n"}]
    again.append({"d": 2})
    assert path.read_bytes() == whole + b'{"d": 2}\n'


@pytest.mark.parametrize("line", ["[]", "3", "{", ""])
def test_what_is_no_entry(tmp_path, line):
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(RunError, match=r"lines.jsonl, line 2: damaged; remove it"):
        LineFile(path, "remove it")


def test_no_room(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    lines = LineFile(path, "remove it")
    lines.append({"a": 1})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="No space left on device"):
            lines.append({"b": 2})
    assert lines.entries == [{"a": 1}]
    lines.append({"c": 3})
    assert LineFile(path, "remove it").entries == [{"a": 1}, {"c": 3}]
