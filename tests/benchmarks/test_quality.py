"""The benchmark of retrieval quality: its table, and its queue."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from ssah_tf.training.recipe import load_recipe

QUALITY = Path(__file__).parents[2] / "benchmarks" / "quality"


def load(name):
    """A script of the benchmark; they import each other by name, as scripts of one folder do."""
    sys.path.insert(0, str(QUALITY))
    try:
        spec = spec_from_file_location(name, QUALITY / f"{name}.py")
        loaded = module_from_spec(spec)
        spec.loader.exec_module(loaded)
    finally:
        sys.path.remove(str(QUALITY))
    return loaded


@pytest.fixture(scope="module")
def summary():
    return load("summary")


def result(method, labels, seed, value):
    common = {"set": "fashion", "bits": 48, "validation_map": 0.5, "seconds": 10.0, "protocol": "P"}
    common |= {"machine": "M", "date": "2026-01-01"}
    return {**common, "method": method, "labels": labels, "seed": seed, "map": value}


def test_table_and_curves(tmp_path):
    """Mean and deviation over seeds, computed by hand: .5 / .6 / .7 is .6 +- .1."""
    rows = [result("full method", 10, seed, 0.7 - 0.1 * seed) for seed in range(3)]
    rows.append(result("full method", 100, 0, 0.8))
    for k, row in enumerate(rows):
        (tmp_path / f"{k}.json").write_text(json.dumps(row))
    run = load("run")
    for _ in range(2):  # the second time results.json is there, and no run
        run.write_results(tmp_path)
    page = (tmp_path / "results.md").read_text()
    assert "| 10 | 48 | full method | 0.600 ± 0.100 | 0.700 / 0.600 / 0.500 | 10 s |" in page
    assert "| 100 | 48 | full method | 0.800 | 0.800 | 10 s |" in page
    assert "M, 2026-01-01. Protocol: P" in page
    (of_set,) = json.loads((tmp_path / "results.json").read_bytes())["sets"]
    assert of_set["rows"][0]["map"] == [0.7, 0.6, 0.5]
    assert of_set["rows"][0]["deviation"] == 0.1
    with Image.open(tmp_path / "results.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_label_efficiency(summary):
    """Supervised: .2 with 1 label, .4 with 10, .8 with 100; .6 is halfway, 10^1.5 = 32 labels."""
    best = [result("supervised only", n, 0, v) for n, v in ((1, 0.2), (10, 0.4), (100, 0.8))]
    worse = result("supervised only, csq", 100, 0, 0.5)
    semi = [result("full method", n, 0, v) for n, v in ((1, 0.1), (10, 0.6), (100, 0.9))]
    rows = summary.rows_of([*best, worse, *semi])
    lines = load("page").efficiency_tables(summary.efficiency_of(rows))
    assert "| 1 | full method | at most 1 | at most 1.0 |" in lines
    assert "| 10 | full method | 32 | 3.2 |" in lines
    assert "| 100 | full method | more than 100 | more than 1.0 |" in lines
    assert summary.efficiency_of(summary.rows_of(semi)) == []


def test_stored_page_shows_the_stored_results(summary):
    stored = (QUALITY / "results.json").read_text(encoding="utf-8")
    results = json.loads(stored)
    assert summary.as_text(results) == stored
    notebook = QUALITY.parents[1] / "docs" / "notebook"
    page = (notebook / "quality.md").read_text(encoding="utf-8")
    assert load("page").page(results, "quality.png") == page
    assert (notebook / "quality.png").is_file()
    for of_set in results["sets"]:  # what is printed with three digits is what the seeds say
        for row in of_set["rows"]:
            assert abs(np.mean(row["map"]) - row["mean"]) < 1.1e-3


def test_every_method_of_the_grid_is_a_recipe():
    grid = yaml.safe_load((QUALITY / "grid.yaml").read_text())
    for spec in grid.values():
        for overrides in spec["methods"].values():
            load_recipe(spec["recipe"], (*spec.get("overrides", []), *overrides))


def test_mosaics_hold_what_their_labels_say(tmp_path, monkeypatch):
    """Classes are grey levels, so that each corner says its class."""
    levels = {"dark": 10, "middle": 120, "light": 240}
    for name, level in levels.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(20):
            grey = np.full((40, 40), level, np.uint8)
            grey[0, 0] = k  # no two files alike
            Image.fromarray(grey).save(tmp_path / "set" / name / f"{k}.png")
    mosaics = load("mosaics")
    out = tmp_path / "out"
    argv = ["mosaics.py", str(tmp_path / "set"), str(out), "--count", "8"]
    monkeypatch.setattr(sys, "argv", argv)
    mosaics.main()
    head, *rows = (out / "labels.csv").read_text().splitlines()
    assert head == "path,label"
    assert len(rows) == 8
    for row in rows:
        name, labels = row.split(",")
        with Image.open(out / "photos" / name) as image:
            assert image.size == (64, 64)
            corners = {image.getpixel((x, y))[0] for x in (16, 48) for y in (16, 48)}
        assert corners == {levels[label] for label in labels.split(";")}
    assert len({row.split(",")[1] for row in rows}) > 1
    monkeypatch.setattr(sys, "argv", [*argv[:-1], "99"])
    with pytest.raises(SystemExit):
        mosaics.main()


@pytest.fixture(scope="module")
def crovca():
    return load("crovca")


def test_losses_of_crovca(crovca):
    """Sigmoids of +-log 3 are 3/4 and 1/4; rows of unit length have Z^T Z = I or diag(2, 0)."""
    first, second = np.log([[3, 1 / 3]]), np.log([[3, 3]])  # codes 1 0 and 1 1
    loss = crovca.alignment_loss(*(tf.constant(z, tf.float32) for z in (first, second)))
    np.testing.assert_allclose(loss, -(np.log(3 / 4) + np.log(1 / 4)), rtol=1e-5)
    apart, alike = ([[3, 0], [0, -2]], [[3, 0], [2, 0]])
    rates = [crovca.coding_rate(tf.constant(z, tf.float32)) for z in (apart, alike)]
    np.testing.assert_allclose(rates, [np.log(401), np.log(801) / 2], rtol=1e-5)


def test_second_image_of_crovca_shares_a_label(crovca):
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    rng = np.random.default_rng(0)
    draws = {tuple(crovca.of_its_class(labels, rng)) for _ in range(50)}
    assert draws == {(1, 0, 1, 3), (1, 2, 1, 3)}


def test_second_view_of_crovca_is_another_part_in_other_colours(crovca):
    """A backbone that gives pixels; the image brightens from left to right, red is its level."""

    class Pixels(keras.layers.Layer):
        feature_size = 3

        def call(self, images, training=False):
            return images

    image = np.zeros((32, 32, 3), np.float32)
    image[..., 0] = np.linspace(0, 255, 32)
    view = crovca.SecondView(Pixels())
    views = view(np.repeat(image[None], 40, axis=0)).numpy()
    assert views.shape == (40, 32, 32, 3)
    assert views.min() >= 0
    assert views.max() <= 255
    slopes = views[:, 16, 20, 0] - views[:, 16, 10, 0]
    assert 5 < (slopes < 0).sum() < 35  # mirrored
    boxes = view.random_boxes(1000).numpy()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert 0.4 <= areas.min() + 1e-6 < 0.45
    assert 0.65 < areas.mean() < 0.72


@pytest.mark.slow
def test_crovca_learns_codes_by_class(crovca):
    """Two classes that differ in one of 16 directions, in which the features vary least."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 200)
    features = rng.normal(size=(400, 16)).astype(np.float32)
    features[:, 0] = 0.3 * features[:, 0] + 0.5 * (2 * classes - 1)
    labels = np.eye(2, dtype=np.uint8)[classes]
    changes = ["model.bits=4", "train.joint=30", "train.batch=100", "train.hnet.ema=0"]
    changes.append("train.steps_per_epoch=1")
    recipe = load_recipe("frozen", changes)
    hnet = crovca.train_crovca(recipe, features, lambda r: features[crovca.of_its_class(labels, r)])
    codes = np.unpackbits(hnet.encode([features]), axis=1)[:, :4]
    agreement = np.abs(np.corrcoef(codes.T, classes)[-1, :-1])
    assert agreement.max() > 0.8


@pytest.mark.slow
def test_the_queue_runs_and_does_nothing_twice(tmp_path):
    command = [sys.executable, QUALITY / "run.py", "--only", "fashion", "--labels", "5"]
    command += ["--seeds", "0", "--methods", "supervised only", "--output", tmp_path, "--set"]
    command += ["train.steps_per_epoch=2", "train.hnet_warmup=1", "train.joint=1"]
    command += ["model.options.width=8"]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fashion-5-48-supervised-only-0" in first.stdout
    (path,) = tmp_path.glob("fashion-*.json")
    assert 0.05 < json.loads(path.read_bytes())["map"] < 1
    before = path.stat().st_mtime_ns
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fashion-5-" not in again.stdout
    assert path.stat().st_mtime_ns == before
