import numpy as np
import pytest

from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json, read_array, read_arrays
from ssah_tf.training.recipe import load_recipe


def test_nested_json():
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
    for text in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)


def test_pickles_are_refused(tmp_path):
    """An array of objects is a pickle, and a pickle is a program."""
    np.save(tmp_path / "a.npy", np.array([print], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([print], object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a file of an array"):
        read_array(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="not a file of arrays"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{" + b" " * 200])
def test_torn_arrays(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for read in (read_array, read_arrays):
        with pytest.raises((ValueError, OSError)):
            read(tmp_path / "a")


def test_arrays_come_back(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.zeros((2, 2), np.uint8))
    found = read_arrays(tmp_path / "a.npz")
    assert found["x"].tolist() == [0, 1, 2]
    assert found["y"].shape == (2, 2)


def test_errors_are_one_line_whatever_they_name():
    assert str(SsahError("a\nb\x1b[2J\udcff")) == r"a\nb\x1b[2J\udcff"
    assert str(SsahError("é 漢")) == "é 漢"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1, 1]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
        "name: " + "[" * 5000,
        "!!python/object/apply:os.system ['touch pwned']",
        "name: !!python/name:os.system",
        "name: !!timestamp x",
    ],
)
def test_yaml_is_data(tmp_path, text, monkeypatch):
    """Bombs of aliases, depth, and tags that would make objects."""
    from ssah_tf.system.errors import RecipeError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match="not a YAML file"):
        load_recipe(tmp_path / "r.yaml")
    assert not (tmp_path / "pwned").exists()
