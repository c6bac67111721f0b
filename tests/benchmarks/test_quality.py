"""The benchmark of retrieval quality: its table, and its queue."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
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
