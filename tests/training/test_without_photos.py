"""A finished run stands on its own: its photos may go, move or change."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.cli.app import app
from ssah_tf.export.export import export
from ssah_tf.export.made_up import made_up
from ssah_tf.export.verify import verify
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.training import sample as stage
from ssah_tf.training.build import build_game
from ssah_tf.training.measure import measure
from ssah_tf.training.photos import photos_of, some_images
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.report import write_report
from ssah_tf.training.run import LOST, Run
from ssah_tf.training.sample import Pictures, read_sample, room
from ssah_tf.training.start import start

SIZE = 32


def make_photos(folder):
    rng = np.random.default_rng(0)
    for number in range(75):
        path = folder / ("ant", "bee", "cat")[number % 3] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, (36, 40, 3), dtype=np.uint8)
        pixels[..., number % 3] += 100
        Image.fromarray(pixels).save(path)


def measured(folder, *overrides):
    """A run whose encoder was never trained, on photos of its own beside it."""
    photos = folder.with_name(f"{folder.name}-photos")
    make_photos(photos)
    changes = (f"data.source={photos}", f"data.image_size={SIZE}", "model.options.width=8")
    run, loaded = start(load_recipe("folder", (*changes, "model.bits=12", *overrides)), folder)
    game = build_game(run.recipe, loaded.images, run.split)
    game.hnet(loaded.images.read(np.arange(64), SIZE), training=True)
    game.hnet.save(run.model_path)
    epoch = {"epoch": 0, "stage": "joint", "seconds": 1.0, "rho": 0.1}
    run.save_history([{**epoch, "validation_map": 0.5, "validation_error": 0.1}])
    measure(run, loaded.images)
    return photos


@pytest.fixture(scope="module")
def made(tmp_path_factory, logical_cpus):
    root = tmp_path_factory.mktemp("made")
    measured(root / "run")
    return root


@pytest.fixture
def run(made, tmp_path):
    """A copy of the run, with a copy of its photos that may be changed."""
    shutil.copytree(made / "run", tmp_path / "run")
    shutil.copytree(made / "run-photos", tmp_path / "run-photos")
    text = (tmp_path / "run" / "recipe.yaml").read_text()
    (tmp_path / "run" / "recipe.yaml").write_text(text.replace(str(made), str(tmp_path)))
    return Run.open(tmp_path / "run")


def photos(run):
    return run.folder.with_name("run-photos")


def test_sample_is_what_the_encoder_sees(run):
    """All 75 images are few enough; each as it is decoded."""
    _, found = photos_of(run)
    sample = read_sample(run)
    assert sorted(sample) == sorted(found.images.ids)
    for position, name in enumerate(found.images.ids):
        np.testing.assert_array_equal(sample[name], found.images.read_one(position, SIZE))


def test_sample_has_a_bound(run, monkeypatch):
    """Of 20 images 13 are of the report at most, a quarter of the others are queries."""
    assert room(28) == room(224) == 256
    assert room(512) * 512 * 512 * 3 <= 50_000_000 < (room(512) + 1) * 512 * 512 * 3
    monkeypatch.setattr(stage, "COUNT", 20)
    run.sample_path.unlink()
    _, found = photos_of(run)
    stage.keep_sample(run, found.images, list(run.split.database[:18]))
    sample = read_sample(run)
    assert list(sample)[:14] == list(run.split.database[:14])
    assert len(sample) == 20
    assert len([name for name in sample if name in run.split.query]) == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"positions": np.arange(2), "pixels": np.zeros((2, 8, 8, 3), np.uint8)},
        {"positions": np.arange(2), "pixels": np.zeros((2, SIZE, SIZE, 3), np.float32)},
        {"positions": np.array([75]), "pixels": np.zeros((1, SIZE, SIZE, 3), np.uint8)},
        {"positions": np.array([-1]), "pixels": np.zeros((1, SIZE, SIZE, 3), np.uint8)},
        {"positions": np.array(["a"], object), "pixels": np.zeros((1, SIZE, SIZE, 3), np.uint8)},
    ],
)
def test_damaged_sample(run, arrays):
    np.savez(run.sample_path, **arrays)
    with pytest.raises(RunError, match=r"sample\.npz: damaged \(.*\); remove it"):
        read_sample(run)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["gone", "moved"])
def test_export_without_photos(run, tmp_path, what):
    """Compared, quantised and measured on the images that the run keeps; the card says so."""
    before = export(run, some_images(photos_of(run)[1]), tmp_path / "with", int8=True, force=True)
    assert before["verified"] | {"artefacts": 0} == {
        "artefacts": 0, "bits": 75 * 12, "images": 75, "kept": 0, "made_up": 0
    }  # fmt: skip
    shutil.move(photos(run), tmp_path / "elsewhere") if what == "moved" else shutil.rmtree(
        photos(run)
    )
    now, found = photos_of(run)
    assert found.images is None
    about = export(now, found.images, tmp_path / "without", int8=True, force=True)
    assert about["verified"]["images"] == about["verified"]["kept"] == 75
    assert about["model_id"] == before["model_id"]
    assert about["int8"] == before["int8"] | {"model_id": about["int8"]["model_id"]}
    assert about["int8"]["queries"] + about["int8"]["database"] == 75
    verify(tmp_path / "without")
    card = (tmp_path / "without" / "MODEL_CARD.md").read_text()
    assert "on 75 images (75 of them kept by the run after its photos were gone" in card
    assert "64 images of the training set travel with this folder as pixels of 32 px" in card
    assert "its run folder keeps 75 (`sample.npz`)" in card
    if what == "moved":
        now, found = photos_of(run, str(tmp_path / "elsewhere"))
        about = export(now, found.images, tmp_path / "found")
        assert about["verified"]["kept"] == 0
        assert about["verified"]["images"] == 75


@pytest.mark.slow
def test_int8_on_a_part_is_compared_with_the_same_part(run, tmp_path):
    """Both numbers are over the images that are there."""
    from sklearn.metrics import average_precision_score

    gone = run.split.query[:2]
    for name in gone:
        (photos(run) / name).unlink()
    run.sample_path.unlink()
    now, found = photos_of(run)
    about = export(now, found.images, tmp_path / "out", int8=True, force=True)["int8"]
    assert about["queries"] == len(run.split.query) - 2
    codes = np.load(run.codes_path)
    labels = [
        run.split.contents.image_set(part).labels for part in (run.split.query, run.split.database)
    ]
    bits = [np.unpackbits(codes[part], axis=1, count=12) for part in ("query", "database")]
    distances = (bits[0][2:, None] != bits[1][None]).sum(axis=2)
    relevant = labels[0][2:] @ labels[1].T
    # Ties make this an estimate: the mean over random orders of what scikit-learn says.
    rng = np.random.default_rng(0)
    found_map = np.mean(
        [
            average_precision_score(hits, -(row + rng.uniform(0, 0.5, len(row))))
            for row, hits in zip(distances, relevant, strict=True)
            for _ in range(200)
        ]
    )
    assert about["map_float"] == pytest.approx(found_map, abs=0.01)


@pytest.mark.slow
def test_no_sample(made, tmp_path):
    """Neither the run nor an export of it holds a photo; the proof is by made-up images."""
    folder = tmp_path / "run"
    measured(folder, "data.keep_sample=false")
    run = Run.open(folder)
    assert not run.sample_path.exists()
    now, found = photos_of(run)
    about = export(now, found.images, tmp_path / "with")
    assert about["verified"]["images"] == 75 + 64
    for path in (tmp_path / "with", tmp_path / "without"):
        if path.name == "without":
            shutil.rmtree(photos(run))
            now, found = photos_of(run)
            about = export(now, found.images, path)
            assert about["verified"]["images"] == 64
        assert about["verified"]["made_up"] == 64
        with np.load(path / "reference.npz") as arrays:
            np.testing.assert_array_equal(arrays["images"], made_up(64, SIZE))
            assert len(np.unique(arrays["codes"], axis=0)) > 3
        assert "0 images of the training set travel" in (path / "MODEL_CARD.md").read_text()
        assert Encoder.load(path).model_id == about["model_id"]
    with pytest.raises(SsahError, match="no pixels are left to calibrate --int8"):
        export(now, found.images, tmp_path / "int8", int8=True)


def test_evaluate_goes_on_with_the_rest(run):
    """The numbers of all images are kept until all are there again."""
    before = run.metrics()
    codes = run.codes_path.read_bytes()
    sample = run.sample_path.read_bytes()
    query, other = run.split.query[1], run.split.database[3]
    for name in (query, other):
        (photos(run) / name).rename(run.folder / "aside" if name == query else run.folder / "b")
    now, found = photos_of(run)
    metrics = measure(now, some_images(found))
    assert metrics["missing"] == [query, other]
    assert metrics["retrieval"]["queries"] == before["retrieval"]["queries"] - 1
    assert metrics["retrieval"]["database"] == before["retrieval"]["database"] - 1
    total = before["retrieval"]["queries"], before["retrieval"]["database"]
    assert (
        f"; without 1 of {total[0]} queries and 1 of {total[1]} images of the database, which are "
        "missing; 12 bits"
    ) in metrics["protocol"]
    rest = [ap for i, ap in enumerate(before["average_precision"]) if i != 1]
    assert metrics["average_precision"] == pytest.approx(rest, abs=0.1)
    assert json.loads(run.complete_metrics_path.read_bytes()) == before
    assert run.complete_codes_path.read_bytes() == codes
    assert run.sample_path.read_bytes() == sample
    measure(now, some_images(found))  # again: those of all images stay
    assert json.loads(run.complete_metrics_path.read_bytes()) == before
    (run.folder / "aside").rename(photos(run) / query)
    (run.folder / "b").rename(photos(run) / other)
    now, found = photos_of(run)
    assert measure(now, some_images(found)) == before
    assert not run.complete_metrics_path.exists()
    assert not run.complete_codes_path.exists()


def test_nothing_to_measure(run):
    now, found = photos_of(run, str(run.folder))
    with pytest.raises(RunError, match=r"none of the 75 images of the run is there.*--data"):
        some_images(found)
    for name in run.split.query:
        (photos(run) / name).unlink()
    now, found = photos_of(run)
    before = run.metrics_path.read_bytes()
    with pytest.raises(RunError, match="none of its queries, or of its database, is there"):
        measure(now, some_images(found))
    assert run.metrics_path.read_bytes() == before


def test_numbers_say_that_the_training_went_on_without_images(run):
    *before, last = run.history
    run.save_history([*before, {**last, LOST: 3}])
    metrics = measure(run, some_images(photos_of(run)[1]))
    assert (
        "; trained to the end without 3 images, which were missing; 12 bits"
        in (metrics["protocol"])
    )


def test_report_without_photos(run):
    """Its pictures are those that the run keeps; without them they are grey, and it says so."""
    before = run.report_path.read_text()
    shutil.rmtree(photos(run))
    now, found = photos_of(run)
    assert write_report(now, found.images) == 0
    page = run.report_path.read_text()
    assert page.count('class="hit ') == before.count('class="hit ') > 50
    assert "not there" not in page
    run.sample_path.unlink()
    absent = write_report(now, found.images)
    page = run.report_path.read_text()
    assert absent > 20
    assert f"the photo is not there any more ({absent} of these)" in page
    assert page.count("): not there") == 2 * page.count('class="hit ')


@pytest.mark.slow
def test_a_run_of_an_older_version(run, tmp_path):
    """Its split knows neither digests nor labels, and there is no sample: as far as photos go."""
    values = json.loads(run.split_path.read_bytes())
    values.pop("contents")
    run.split_path.write_text(json.dumps(values))
    run.sample_path.unlink()
    old = Run.open(run.folder)
    (photos(run) / old.split.query[0]).unlink()
    now, found = photos_of(old)
    assert write_report(now, found.images) == 0
    export(now, found.images, tmp_path / "out")
    metrics = measure(now, some_images(found))
    assert metrics["missing"] == [old.split.query[0]]
    assert Pictures(now, found.images).sample.keys() == set(found.images.ids)
    with pytest.raises(RunError, match="of an older version, without labels"):
        write_report(old, None)


@pytest.mark.parametrize(
    "command", ["evaluate", "report", pytest.param("export", marks=pytest.mark.slow)]
)
def test_commands_take_the_folder_that_the_photos_moved_to(run, tmp_path, capsys, command):
    photos(run).rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "ant" / "x.jxl").write_bytes(b"")
    app([command, str(run.folder), "--data", str(tmp_path / "elsewhere")], standalone_mode=False)
    out, err = capsys.readouterr()
    assert err == "1 image file passed over: 1 .jxl\n"
    assert str(run.folder) in out
    if command == "evaluate":
        with pytest.raises(RunError, match="name their folder with --data"):
            app([command, str(run.folder)], standalone_mode=False)
    else:
        app([command, str(run.folder)], standalone_mode=False)
    assert "75 of 75 images of the run cannot be used: 'ant/" in capsys.readouterr().err
