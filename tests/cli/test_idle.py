"""Options that have no effect beside others are refused in one line."""

import pytest


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("search index --label-like x --runtime openvino", "--runtime has no effect with --label"),
        ("search index --label-like x --encoder e", "--encoder has no effect with --label-like"),
        ("search index --label-like x --exclude raw", "--exclude has no effect with --label-like"),
        ("index e photos --yes", "--yes goes with --prune"),
        ("index e photos --sweep 10m", "--sweep goes with --watch"),
        ("index e photos --replace-labels", "--replace-labels needs --labels FILE, or --labels fo"),
        ("encode e photos --output - --shard 1024", "--shard has no effect with --output -, which"),
        ("encode e photos --output - --engine ray", "--engine has no effect with --output -"),
        ("encode e photos --output - --check", "--check has no effect with --output -"),
        ("duplicates index --port 8002", "--port goes with --review"),
        ("duplicates index --keep oldest", "--keep goes with --review"),
        ("duplicates index --labels l.csv", "--labels goes with --review"),
        ("duplicates index --review --json", "--json has no effect with --review"),
        ("duplicates index --review --html p.html", "--html has no effect with --review"),
        ("duplicates --restore aside --radius 3", "--radius has no effect with --restore"),
        ("duplicates --restore aside --review", "--review has no effect with --restore"),
        ("label photos --set-aside a", "--set-aside goes with --index"),
        ("export run --force", "--force goes with --int8"),
        ("export run --max-drop 0.01", "--max-drop goes with --int8"),
        ("export run --int8 --force --max-drop 0.1", "--max-drop has no effect with --force"),
        ("train folder --budget 1h", "--budget is for ssah train --data DIR without a recipe"),
        ("train frozen --data x --devices 1", "--devices has no effect with the recipe frozen"),
        ("train fashion --features work", "--features is for a frozen backbone"),
        ("train --resume run fashion", "recipe has no effect with --resume"),
        ("serve index --cache c --cache-size 0", "--cache has no effect with --cache-size 0"),
    ],
)
def test_it_is_refused(ssah, words, line):
    said = ssah(*words.split())
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"ssah: {line}")
    assert len(said.err.splitlines()) == 1


def test_what_has_an_effect_is_not(ssah, tmp_path):
    """The same options, where they do something: what is said next is another mistake."""
    for words in (
        ("search", "index", "photo.jpg", "--runtime", "openvino", "--exclude", "raw"),
        ("duplicates", "index", "--review", "--keep", "oldest"),
        ("duplicates", "index", "--csv", "t.csv"),
    ):
        assert "index: not an index of photos" in ssah(*words).err
    assert "none: nothing was set aside here" in ssah("duplicates", "x", "--restore", "none").err
