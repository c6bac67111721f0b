"""From a recipe to numbers, in a process: training, resuming, evaluating, what goes wrong."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.system.errors import DataError, RecipeError, RunError
from ssah_tf.training.build import build_game, build_images
from ssah_tf.training.callbacks import Keep
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.report import write_report
from ssah_tf.training.run import Run
from ssah_tf.training.selection import selected_epoch
from ssah_tf.training.start import start
from ssah_tf.training.train import stages, train

SMALL = (
    "model.options.width=8",
    "adversary.width=8",
    "train.batch=20",
    "train.steps_per_epoch=5",
    "train.hnet_warmup=1",
    "train.anet_warmup=1",
    "train.joint=2",
)


def begin(folder, *overrides, recipe="fashion"):
    run, loaded = start(load_recipe(recipe, (*SMALL, *overrides)), folder)
    return run, loaded.images


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short training that is long enough to learn something."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run, images = begin(
        folder,
        "train.steps_per_epoch=20",
        "train.hnet_warmup=2",
        "train.hnet.ema=0.9",
    )
    train(run, images)
    evaluate(run, images)
    write_report(run, images)
    return run, images


def test_stages_of_a_recipe():
    recipe = load_recipe("fashion", SMALL)
    plan = stages(recipe, has_adversary=True)
    assert [(s.name, s.first, s.last) for s in plan] == [
        ("hnet_warmup", 0, 1),
        ("anet_warmup", 1, 2),
        ("joint", 2, 4),
    ]
    assert [s.name for s in stages(recipe, has_adversary=False)] == ["hnet_warmup", "joint"]
    assert [s.last for s in stages(recipe, has_adversary=False)] == [1, 3]


def test_run_folder_is_complete(finished):
    run, _ = finished
    found = {path.name for path in run.folder.iterdir()}
    assert found == {
        "recipe.yaml",
        "split.json",
        "history.json",
        "checkpoints",
        "model.keras",
        "metrics.json",
        "codes.npz",
        "report.html",
        "hard_samples.npz",
        "hard_samples.png",
        "validation.json",
        "tensorboard",
    }
    assert run.checkpoints() == [80, 100]  # the newest two of five epochs of 20 steps
    assert any((run.folder / "tensorboard").rglob("events*"))


def test_learnt_codes_beat_random_ones_by_far(finished):
    run, images = finished
    report = json.loads(run.metrics_path.read_bytes())
    query, database = (images.positions(part) for part in (run.split.query, run.split.database))
    rng = np.random.default_rng(0)
    chance = evaluate_retrieval(
        rng.integers(0, 256, (1000, 6), dtype=np.uint8),
        images.labels[query],
        rng.integers(0, 256, (5000, 6), dtype=np.uint8),
        images.labels[database],
        48,
    )
    assert chance.map_tie_aware == pytest.approx(0.1, abs=0.01)
    assert report["retrieval"]["map_tie_aware"] > 0.35


def test_report_says_its_protocol(finished):
    run, _ = finished
    report = json.loads(run.metrics_path.read_bytes())
    for words in ("1000 official queries", "database of 5000", "300 labels", "48 bits", "seed 0"):
        assert words in report["protocol"]
    low, high = report["retrieval"]["map_interval"]
    assert low < report["retrieval"]["map_tie_aware"] < high
    assert report["retrieval"]["queries"] == 1000


def test_saved_encoder_is_the_selected_one(finished):
    """Its weights are the averages of the selected epoch; its statistics are its own."""
    run, images = finished
    joint = [e for e in run.history if e["stage"] == "joint"]
    best = joint[selected_epoch(joint)]
    report = json.loads(run.metrics_path.read_bytes())
    assert report["validation_map"] == best["validation_map"]
    game = build_game(run.recipe, images, run.split)
    game.load_weights(run.checkpoint_path(20 * (best["epoch"] + 1)))
    encoder = run.encoder()
    with game.averaged_weights() as selected:
        pairs = zip(encoder.trainable_variables, selected.trainable_variables, strict=True)
        for mine, its in pairs:
            np.testing.assert_array_equal(mine.numpy(), its.numpy())


def test_history_has_losses_rho_and_time(finished):
    run, _ = finished
    assert [e["epoch"] for e in run.history] == [0, 1, 2, 3, 4]
    last = run.history[-1]
    assert {"loss", "supervised", "hard", "consistency", "adversary", "rho", "seconds"} <= set(last)
    assert last["rho"] > run.history[2]["rho"]


def test_picture_of_hard_samples(finished):
    run, _ = finished
    with Image.open(run.picture_path) as picture:
        assert picture.width > 300
        assert picture.height > 200
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    with np.load(run.album_path) as album:
        assert album["hard"].shape == (2, 8, 28, 28, 3)
        assert list(album["epochs"]) == [3, 4]
        assert album["rho"][1] > album["rho"][0]


def test_random_hard_samples_are_drawn_anew_and_the_page_has_no_word_of_a_net(tmp_path):
    run, images = begin(tmp_path / "run", "adversary.kind=random", "train.steps_per_epoch=2")
    train(run, images)
    evaluate(run, images)
    write_report(run, images)
    with np.load(run.album_path) as album:
        first, second = album["hard"]
        assert (first != second).mean() > 0.1
    assert not any("rho" in epoch for epoch in run.history)
    page = run.report_path.read_text(encoding="utf-8")
    assert "Dotted lines part warm-up of H-Net, joint stage." in page
    assert "Images deformed at random; the originals on top." in page
    assert "A-Net" not in page


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run, images = begin(tmp_path_factory.mktemp("runs") / "whole")
    train(run, images)
    return run


@pytest.mark.slow  # tests/faults does the same with real kills
@pytest.mark.parametrize("stop_after", [1, 3])
def test_interrupted_and_resumed_it_ends_with_the_same_weights(
    tmp_path, stop_after, monkeypatch, undisturbed
):
    """Killed after an epoch of the warm-up, and after one of the joint stage: bit for bit."""
    whole = undisturbed
    halted, images = begin(tmp_path / "halted")
    on_epoch_end = Keep.on_epoch_end

    def die(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch + 1 == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Keep, "on_epoch_end", die)
    with pytest.raises(KeyboardInterrupt):
        train(halted, images)
    monkeypatch.undo()
    assert len(halted.history) == stop_after
    train(Run.open(halted.folder), images)

    for key in ("loss", "supervised", "adversary", "rho", "validation_map"):
        assert [e.get(key) for e in halted.history] == [e.get(key) for e in whole.history]
    codes = [run.encoder().encode([images.pixels[:200]]) for run in (whole, halted)]
    np.testing.assert_array_equal(*codes)


@pytest.mark.slow
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, finished):
    run, images = finished
    copy = Run(tmp_path / "copy")
    shutil.copytree(run.folder, copy.folder)
    before = run.encoder().encode([images.pixels[:200]])
    newest = copy.checkpoint_path(copy.checkpoints()[-1])
    newest.write_bytes(newest.read_bytes()[:1000])
    train(copy, images)
    assert len(copy.history) == 5
    np.testing.assert_array_equal(copy.encoder().encode([images.pixels[:200]]), before)
    for number in copy.checkpoints():
        copy.checkpoint_path(number).write_bytes(b"")
    with pytest.raises(RunError, match="none of its 2 checkpoints"):
        train(copy, images)


def test_loss_that_explodes_stops_the_run_with_advice(tmp_path):
    run, images = begin(tmp_path / "run", "train.hnet.learning_rate=1e30")
    with pytest.raises(RunError, match=r"lower train\.hnet\.learning_rate"):
        train(run, images)


@pytest.mark.slow
def test_hash_layer_begins_with_itq_and_targets_with_the_codes_of_classes(tmp_path, monkeypatch):
    """At the first step the bits of a sample are even, and targets are signs of mean codes."""
    seen = {}

    def look(self, logs=None):
        game = self.model
        seen["codes"] = self.hnet_codes(game)
        seen["targets"] = game.supervised_loss.targets.numpy()

    class Look(Keep):
        on_train_begin = look

        def hnet_codes(self, game):
            return game.hnet(images.read(images.positions(run.split.labelled), 28)).numpy()

    monkeypatch.setattr("ssah_tf.training.train.Keep", Look)
    run, images = begin(tmp_path / "run", "model.hash_layer=itq", "model.bits=12", "train.joint=0")
    train(run, images)
    labels = images.labels[images.positions(run.split.labelled)]
    means = labels.T.astype(float) @ seen["codes"]
    agree = np.sign(means) == seen["targets"]
    assert agree.mean() > 0.98  # but for bits flipped to tell classes apart
    assert len(np.unique(seen["targets"], axis=0)) == 10
    assert abs((seen["codes"] >= 0).mean() - 0.5) < 0.1


@pytest.mark.slow
def test_class_folders_of_one_colour_each(tmp_path):
    """Photos of several sizes and modes, an unlabelled folder, a corrupt file: a clean number."""
    rng = np.random.default_rng(0)
    for name, colour in {"red": 0, "green": 1, "blue": 2}.items():
        for number in range(14):
            pixels = rng.integers(0, 90, (40 + number, 50, 3), dtype=np.uint8)
            pixels[..., colour] += 120
            folder = tmp_path / "photos" / (name if number < 10 else "unlabelled")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(
                folder / f"{name} {number}.{'png' if number % 2 else 'jpg'}"
            )
    (tmp_path / "photos" / "red" / "broken.jpg").write_bytes(b"no image")
    recipe = load_recipe(
        "folder",
        (
            *SMALL,
            f"data.source={tmp_path / 'photos'}",
            "data.image_size=32",
            "data.validation_per_class=2",
            "data.query_per_class=2",
            "data.cache_mb=0",
            "train.batch=12",
            "train.hnet_warmup=3",
            "train.steps_per_epoch=20",
            "train.hnet.ema=0.0",
            "model.bits=12",
        ),
    )
    run, loaded = start(recipe, tmp_path / "run")
    images, bad = loaded.images, loaded.bad
    assert list(bad) == ["red/broken.jpg"]
    split = run.split
    assert [len(p) for p in (split.labelled, split.validation, split.query)] == [21, 3, 6]
    assert len(split.unlabelled) == 12
    train(run, images)
    report = evaluate(run, images)
    assert report["retrieval"]["map_tie_aware"] > 0.5  # chance is about 1/3
    (tmp_path / "photos" / split.query[0]).unlink()
    with pytest.raises(DataError, match="not there any more"):
        evaluate(run, build_images(run.recipe).images)


def test_runs_that_cannot_be_evaluated(tmp_path, finished):
    run, images = begin(tmp_path / "run")
    with pytest.raises(RunError, match="finish the training"):
        evaluate(run, images)
    run.model_path.write_bytes(b"PK no zip")
    with pytest.raises(RunError, match="not a saved encoder"):
        evaluate(run, images)
    shutil.copyfile(finished[0].model_path, run.model_path)
    run.save_history([{"epoch": 0, "stage": "hnet_warmup", "seconds": 1.0}])
    with pytest.raises(RunError, match="interrupted before its first epoch to select from"):
        evaluate(run, images)
    assert not run.metrics_path.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.backbone=vgg", "no 'vgg', choose from convnet"),
        ("model.options={depth: 3}", "no option 'depth'"),
        ("loss.supervised=triplet", "choose from contrastive"),
        ("loss.options={scale: -1}", "scale must be positive"),
        ("model.backbone=alexnet", "no option 'width'"),
    ],
)
def test_recipes_that_cannot_be_built(tmp_path, override, message):
    run, images = begin(tmp_path / "run", override)
    with pytest.raises(RecipeError, match=message):
        train(run, images)


def test_batch_that_two_devices_cannot_share(tmp_path):
    run, images = begin(tmp_path / "run", "train.batch=33")
    with pytest.raises(RunError, match="33 cannot be shared evenly by 2 devices"):
        train(run, images, devices=2)
