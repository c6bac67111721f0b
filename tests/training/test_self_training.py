"""Self-training: what a run learns from the labels that another one gave."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.system.errors import RecipeError, RunError
from ssah_tf.training import self_training
from ssah_tf.training.build import build_images
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.self_training import (
    self_training_overrides,
    with_pseudo_labels,
    write_pseudo_labels,
)
from ssah_tf.training.start import start
from ssah_tf.training.train import train

pytestmark = pytest.mark.slow

SHORT = ("adversary.kind=none", "train.refit=false", "train.steps_per_epoch=3")


def learner(teacher, folder, *overrides):
    """A run that is to learn from another, and its images."""
    changes = (
        *SHORT,
        "train.joint=1",
        "train.hnet_warmup=0",
        *self_training_overrides(teacher),
        *overrides,
    )
    run, loaded = start(load_recipe("fashion", changes), folder)
    return run, loaded.images


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of a run that has learnt something, with three labels a class."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    changes = ("data.labelled_per_class=4", "data.validation_per_class=1", "model.bits=16")
    quick = ("train.steps_per_epoch=40", "train.joint=1", "train.hnet_warmup=0")
    run, loaded = start(load_recipe("fashion", (*SHORT, *changes, *quick)), folder)
    train(run, loaded.images)
    return folder


@pytest.fixture(scope="module")
def taught(teacher, tmp_path_factory):
    """A trained run that has learnt from it, and its images."""
    run, images = learner(teacher, tmp_path_factory.mktemp("taught") / "run")
    train(run, images)
    return run, images


def test_images_and_split_are_those_of_the_other_run(teacher, taught):
    run, _ = taught
    assert run.split == Run.open(teacher).split
    assert run.recipe.data.labelled_per_class == 4
    assert run.recipe.pseudo_labels.self_train == str(teacher)


def test_unlabelled_images_are_given_labels(taught):
    run, images = taught
    split, seen = with_pseudo_labels(run, images)
    known, given = split.labelled[:30], split.labelled[30:]
    assert known == run.split.labelled
    assert 0.05 < len(given) / len(run.split.unlabelled) < 1
    assert sorted(given + split.unlabelled) == sorted(run.split.unlabelled)
    assert (split.validation, split.query) == (run.split.validation, run.split.query)
    positions = images.positions(given)
    assert (seen.labels[positions].sum(axis=1) == 1).all()
    others = np.setdiff1d(np.arange(len(images)), positions)
    np.testing.assert_array_equal(seen.labels[others], images.labels[others])
    right = (seen.labels[positions] == images.labels[positions]).all(axis=1).mean()
    assert 0.3 < right < 1  # by chance .1


def test_the_true_labels_of_unlabelled_images_are_not_looked_at(
    teacher, taught, tmp_path, monkeypatch
):
    """The file is the same where they are others."""
    run, _ = taught

    def with_others(recipe):
        loaded = build_images(recipe)
        labels = loaded.images.labels.copy()
        hidden = loaded.images.positions(run.split.unlabelled)
        labels[hidden] = np.roll(labels[hidden], 1, axis=1)
        return replace(loaded, images=replace(loaded.images, labels=labels))

    again, images = learner(teacher, tmp_path / "again")
    monkeypatch.setattr(self_training, "build_images", with_others)
    write_pseudo_labels(again, teacher, images)
    assert again.pseudo_labels_path.read_bytes() == run.pseudo_labels_path.read_bytes()


def test_the_network_learns_them(teacher, taught, tmp_path):
    """With other labels in the file, which stays as a user has left it, the weights are others."""
    run, _ = taught
    other, images = learner(teacher, tmp_path / "run")
    header, *lines = run.pseudo_labels_path.read_text().splitlines()
    names = [line.rsplit(",", 1)[0] for line in lines]
    text = "\n".join([header, *(f"{name},{images.classes[0]}" for name in names)]) + "\n"
    other.pseudo_labels_path.write_text(text)
    train(other, images)
    assert other.pseudo_labels_path.read_text() == text
    mine, theirs = (r.encoder().hash_layer.get_weights()[0] for r in (run, other))
    assert not np.allclose(mine, theirs)


def test_a_class_with_a_comma_and_a_quote(taught, tmp_path):
    """Names are written as CSV."""
    run, images = taught
    awkward = replace(images, classes=('a, "b"\nc', *images.classes[1:]))
    folder = Run.create(tmp_path / "run")
    run.split.save(folder.split_path)
    content = run.pseudo_labels_path.read_bytes().decode()
    quoted = '"a, ""b""\nc"'
    folder.pseudo_labels_path.write_text(
        content.replace(f",{images.classes[0]}\r\n", f",{quoted}\r\n"), newline=""
    )
    _, before = with_pseudo_labels(run, images)
    _, after = with_pseudo_labels(folder, awkward)
    np.testing.assert_array_equal(before.labels, after.labels)


def test_an_image_with_several_classes(taught, tmp_path):
    """It has a line for each."""
    run, images = taught
    folder = Run.create(tmp_path / "run")
    run.split.save(folder.split_path)
    one, other = run.split.unlabelled[:2]
    first, second, third = images.classes[:3]
    folder.pseudo_labels_path.write_text(
        f"path,label\n{one},{first}\n{other},{second}\n{one},{third}\n"
    )
    split, seen = with_pseudo_labels(folder, images)
    assert split.labelled == (*run.split.labelled, one, other)
    assert set(split.unlabelled) == set(run.split.unlabelled) - {one, other}
    given = seen.labels[images.positions((one, other))]
    np.testing.assert_array_equal(given[:, :3], [[1, 0, 1], [0, 1, 0]])
    assert given.sum() == 3


@pytest.mark.parametrize(
    "lines",
    [
        "path,label\n{unlabelled},no such class\n",
        "path,label\n{unlabelled}\n",
        "path,label\n{query},{first}\n",
        "path,label\n{labelled},{first}\n",
        "path,label\nno such image,{first}\n",
        "{unlabelled},{first}\n",
        "",
        "path,label\n\0",
    ],
)
def test_a_damaged_file(taught, tmp_path, lines):
    run, images = taught
    broken = Run.create(tmp_path / "run")
    run.split.save(broken.split_path)
    names = {part: getattr(run.split, part)[0] for part in ("unlabelled", "query", "labelled")}
    broken.pseudo_labels_path.write_text(lines.format(first=images.classes[0], **names))
    with pytest.raises(RunError, match=r"pseudo_labels\.csv: .*without it, it is made anew"):
        with_pseudo_labels(broken, images)


def test_another_split_is_refused(teacher, tmp_path):
    """Its queries may be among the images that the teacher was trained on."""
    for change in ("seed=1", "data.validation_per_class=2", "data.labelled_per_class=5"):
        with pytest.raises(RunError, match="its split is another one"):
            learner(teacher, tmp_path / "run", change)
    assert not (tmp_path / "run").exists()


def test_a_run_that_has_not_been_trained(teacher, tmp_path):
    untrained, _ = start(load_recipe("fashion", SHORT), tmp_path / "untrained")
    with pytest.raises(RunError, match=r"model\.keras is missing: finish the training"):
        learner(untrained.folder, tmp_path / "run")
    with pytest.raises(RunError, match="not a run folder"):
        learner(tmp_path / "nothing", tmp_path / "run")


@pytest.mark.parametrize("recipe", ["frozen", "fashion"])
def test_recipes_that_cannot(recipe):
    """The one spreads labels by itself, to the other no share is named."""
    with pytest.raises(
        RecipeError, match=r"self_train: needs pseudo_labels\.label_propagation above 0, and"
    ):
        load_recipe(recipe, ("pseudo_labels.self_train=runs/x",))
