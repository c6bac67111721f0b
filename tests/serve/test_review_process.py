"""`ssah duplicates --review` and `--restore` as a person types them."""

import json
import subprocess
import sys
import urllib.request

import pytest

from ssah_tf.search.review.kept import KeptGroups
from ssah_tf.system.lock import only_one

COMMAND = [sys.executable, "-m", "ssah_tf.cli", "duplicates"]


def post(url, **body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_from_the_command_to_the_files_and_back(duplicated, ssah, monkeypatch):
    """Set aside on the page, put back by another command; labels too if the index is named."""
    monkeypatch.chdir(duplicated.root)
    before, labels = duplicated.names(), duplicated.labelled()
    words = ["index", "--review", "--set-aside", "aside", "--port", "0", "--radius", "1"]
    process = subprocess.Popen(
        [*COMMAND, *words, "--prefer", "photos/june"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "2 groups, 5 photos\n"
    url = process.stdout.readline().split("review page: ")[1].split("/ ")[0]
    with urllib.request.urlopen(f"{url}/duplicates") as answer:
        assert json.load(answer)["prefer"] == "june"
    assert post(f"{url}/duplicates/set-aside", group=0, keep=[1])["set_aside"] == 1
    assert post(f"{url}/duplicates/keep-all", group=1)["open"] == 0
    said = ssah("duplicates", "--restore", "aside")
    assert (said.code, "aside is in use by another process" in said.err) == (1, True)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "1 photos are set aside in aside" in out
    assert "all back: ssah duplicates index --restore aside" in out
    assert duplicated.names() == [name for name in before if "b copy" not in name]
    assert len(KeptGroups(duplicated.root / "labelling").steps) == 1
    # Started again, what is set aside is not called missing; another photo is.
    (duplicated.photos / "june" / "alone.jpg").unlink()
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "1 groups, 3 photos\n"
    process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert "1 photo is missing since the index was made, for example" in err
    before.remove("june/alone.jpg")

    assert duplicated.labelled() == labels | {"june/b.jpg": ("dog", "cat")}
    said = ssah("duplicates", "index", "--restore", "aside")
    assert (said.code, said.out) == (0, "1 photos are back\n")
    assert duplicated.names() == before
    assert duplicated.labelled() == labels


def test_restore_without_an_index(duplicated, ssah):
    """Files are back; labels stay, and a line says so. What is not as it was is exit code 3."""
    review = duplicated.review()
    review.set_aside(0, [1])
    review.set_aside(1, [4])
    (duplicated.photos / "may" / "a.jpg").write_text("new")
    said = ssah("duplicates", "--restore", duplicated.aside)
    assert (said.code, said.out) == (3, "3 photos are back\n")
    assert "a.jpg is taken: what was there is" in said.err
    assert "1 photos that were kept have the labels of the others still" in said.err
    assert (duplicated.photos / "may" / "a.jpg").read_text() == "new"
    assert (duplicated.photos / "may" / "a (2).jpg").exists()
    assert duplicated.labelled()["june/b.jpg"] == ("dog", "cat")
    said = ssah("duplicates", "--restore", duplicated.aside)
    assert (said.code, said.out, said.err) == (0, "0 photos are back\n", "")


def test_labels_in_a_table(duplicated, ssah):
    """They go there, not to the index, and come back from there."""
    from ssah_tf.cli.duplicates import label_place

    table = duplicated.root / "labels.csv"
    table.write_text("path,label\njune/b copy.jpg,owl\n")
    review = duplicated.review()
    review.labels = review.aside.labels = label_place(duplicated.place, table)
    labels = duplicated.labelled()
    review.set_aside(0, [1])
    assert table.read_text() == "path,label\njune/b copy.jpg,owl\njune/b.jpg,owl\n"
    assert duplicated.labelled() == labels
    words = (duplicated.place, "--restore", duplicated.aside, "--labels", table)
    assert ssah("duplicates", *words).code == 0
    assert table.read_text() == "path,label\njune/b copy.jpg,owl\njune/b.jpg,\n"


def test_what_is_refused(duplicated, ssah, tmp_path):
    """In one line, before anything is looked at or written."""
    index = duplicated.place
    (tmp_path / "file").write_text("")
    review = (index, "--review", "--port", 0)
    before = duplicated.names(duplicated.root)
    with only_one(tmp_path / "used" / ".lock", "used"):
        for words, line in (
            ((index, "--set-aside", "x"), "--set-aside goes with --review"),
            ((*review, "--host", "0.0.0.0"), "whoever reaches this address could move photos"),
            ((*review, "--host", "0.0.0.0", "--set-aside", "x"), "give a token with --token-file"),
            ((*review, "--set-aside", "photos/may"), "photos is indexed, so photos there would be"),
            ((*review, "--set-aside", "."), "name a folder elsewhere"),
            ((*review, "--set-aside", "used"), "used is in use by another process"),
            ((*review, "--set-aside", "file/x"), "cannot be written (Not a directory)"),
            ((*review, "--labels", "labels.txt"), "must end in .csv"),
            (("none", "--review"), "none: not an index of photos"),
            (("--restore", "none"), "none: nothing was set aside here"),
            (("none", "--restore", "file"), "file: nothing was set aside here"),
        ):
            said = ssah("duplicates", *words)
            assert (said.code, said.out) == (1, ""), words
            assert line in said.err, words
            assert len(said.err.splitlines()) == 1
    assert duplicated.names(duplicated.root) == before
    said = ssah("duplicates")
    assert (said.code, "give the index" in said.err) == (2, True)
