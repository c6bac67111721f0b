import json

import pytest

from ssah_tf.data import Split
from ssah_tf.system.errors import DataError, RecipeError, RunError
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run, new_run_folder


@pytest.fixture
def run(tmp_path):
    """A run folder with a recipe and a split."""
    run = Run.create(tmp_path / "runs" / "mine")
    load_recipe("fashion", ("model.bits=24",)).save(run.recipe_path)
    Split(("a",), ("b",), ("c",), ("q",), ("a", "b", "c"), 0, "by hand").save(run.split_path)
    return run


def test_create_and_open(run, tmp_path):
    assert run.folder == tmp_path / "runs" / "mine"
    opened = Run.open(run.folder)
    assert opened == run
    assert opened.recipe.model.bits == 24
    assert opened.split.query == ("q",)
    assert opened.history == []
    assert opened.checkpoints() == []


def test_create_in_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty")
    assert (tmp_path / "empty" / "checkpoints").is_dir()


@pytest.mark.parametrize("content", ["file.txt", ".hidden"])
def test_create_in_a_folder_that_holds_something(tmp_path, content):
    (tmp_path / content).write_text("mine")
    with pytest.raises(RunError, match=f"{tmp_path} is not empty: go on with --resume"):
        Run.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [content]


def test_create_where_a_start_was_killed(tmp_path):
    """Before the recipe is there nothing has begun; with a checkpoint or a recipe something has."""
    for name in ("split.json", ".123.split.json", ".123.recipe.yaml", ".lock"):
        (tmp_path / name).write_text("half")
    run = Run.create(tmp_path)
    run.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "checkpoints",
        "split.json",
    ]
    for path in (run.checkpoint_path(1), run.recipe_path):
        path.write_text("")
        with pytest.raises(RunError, match="is not empty"):
            Run.create(tmp_path)
        path.unlink()


def test_create_over_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="cannot be made"):
            Run.create(folder)


def test_open_what_is_no_run(run, tmp_path):
    for folder in (tmp_path, tmp_path / "none", run.recipe_path):
        with pytest.raises(RunError, match=r"not a run folder \(recipe\.yaml is missing\)"):
            Run.open(folder)
    run.split_path.unlink()
    with pytest.raises(RunError, match=r"not a run folder \(split\.json is missing\)"):
        Run.open(run.folder)


def test_recipe_and_split_are_read_once(run):
    """Whoever opens the folder again reads it again."""
    opened = Run.open(run.folder)
    recipe, split = opened.recipe, opened.split
    load_recipe("fashion", ("model.bits=32",)).save(run.recipe_path)
    run.split_path.unlink()
    assert opened.recipe is recipe
    assert opened.split is split
    assert Run(run.folder).recipe.model.bits == 32
    with pytest.raises(DataError, match="no such file"):
        Run(run.folder).split  # noqa: B018


def test_metrics(run):
    parts = {"retrieval": {"map_tie_aware": 0.5}, "codes": {}, "classes": [], "protocol": "p"}
    run.metrics_path.write_text(json.dumps({**parts, "average_precision": [0.25, 0.75]}))
    assert run.metrics()["average_precision"] == [0.25, 0.75]
    run.metrics_path.write_text(json.dumps(parts))
    with pytest.raises(RunError, match=r"damaged \(parts are missing\); run `ssah evaluate "):
        run.metrics()
    run.metrics_path.unlink()
    with pytest.raises(RunError, match="not evaluated yet, or damaged"):
        run.metrics()


def test_encoder_that_is_not_there(run):
    with pytest.raises(RunError, match=r"model\.keras is missing: finish the training with"):
        run.encoder()


def test_damaged_recipe_and_split(run):
    run.recipe_path.write_text("name: [")
    run.split_path.write_text("{")
    opened = Run.open(run.folder)
    with pytest.raises(RecipeError, match=r"recipe\.yaml: not a YAML file"):
        opened.recipe  # noqa: B018
    with pytest.raises(DataError, match=r"split\.json: not a split file"):
        opened.split  # noqa: B018


def test_history(run):
    epochs = [{"epoch": 0, "stage": "joint", "loss": 1.5}, {"epoch": 1, "stage": "joint"}]
    run.save_history(epochs[:1])
    run.save_history(epochs)
    assert Run.open(run.folder).history == epochs
    assert json.loads(run.history_path.read_text()) == epochs


@pytest.mark.parametrize("text", ["", "[{", "\x00\x00", "[1, 2", "{}", "3", "[1]"])
def test_damaged_history(run, text):
    run.history_path.write_text(text)
    with pytest.raises(RunError, match=r"history\.json: damaged") as caught:
        run.history  # noqa: B018
    assert len(str(caught.value).splitlines()) == 1


def test_checkpoints_ascend_and_temporary_files_do_not_count(run):
    for steps in (10, 2, 9, 100_000):
        run.checkpoint_path(steps).write_bytes(b"")
    folder = run.folder / "checkpoints"
    for name in (".123.step-0000011.weights.h5", "step-0000012.weights.h5.tmp", "notes.txt"):
        (folder / name).write_bytes(b"")
    assert run.checkpoints() == [2, 9, 10, 100_000]


def test_drop_old_checkpoints(run):
    """The two newest stay, whatever else lies there stays too."""
    stray = run.folder / "checkpoints" / ".123.step-0000011.weights.h5"
    stray.write_bytes(b"")
    run.drop_old_checkpoints()
    for steps in (1, 2, 3, 10):
        run.checkpoint_path(steps).write_bytes(b"")
    run.drop_old_checkpoints()
    assert run.checkpoints() == [3, 10]
    assert stray.exists()
    run.drop_old_checkpoints()
    assert run.checkpoints() == [3, 10]


def test_files_a_user_copied_do_not_count(run):
    run.checkpoint_path(3).write_bytes(b"")
    (run.folder / "checkpoints" / "step-0000003 (copy).weights.h5").write_bytes(b"")
    assert run.checkpoints() == [3]


def test_no_checkpoint_folder(run):
    (run.folder / "checkpoints").rmdir()
    assert run.checkpoints() == []
    run.drop_old_checkpoints()


def test_new_run_folder(tmp_path):
    assert new_run_folder(tmp_path / "runs", "a") == tmp_path / "runs" / "a"
    for expected in ("a", "a-2", "a-3"):
        folder = new_run_folder(tmp_path, "a")
        assert folder == tmp_path / expected
        folder.mkdir()
    (tmp_path / "a-4").write_text("a file is in the way too")
    assert new_run_folder(tmp_path, "a") == tmp_path / "a-5"
    (tmp_path / "a-2").rmdir()
    assert new_run_folder(tmp_path, "a") == tmp_path / "a-2"
