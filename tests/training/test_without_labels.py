"""Photos of which none has a label, from the folder to the search page."""

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ssah_tf.cli import app as cli
from ssah_tf.data import load_images
from ssah_tf.export.card import classes_in_words, numbers_without_labels
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.serve.app import make_app
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.settings import Settings
from ssah_tf.training.doubts import NO_LABELS
from ssah_tf.training.run import Run

#: A small backbone of chance: what it sees is as good as any for this.
SMALL = (
    *("--set", "model.backbone=convnet", "--set", "model.options.width=8"),
    *("--set", "data.image_size=28", "--set", "model.bits=12"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Fifty pictures, some in a folder, some not."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for k in range(50):
        path = root / ("may" if k % 2 else "") / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        small = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(np.kron(small, np.ones((12, 12, 1), np.uint8))).save(path)
    return root


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A run by the command line, and what that said."""
    folder = tmp_path_factory.mktemp("made") / "run"
    words = ["ssah", "baseline", "--data", str(photos), "--output", str(folder), *SMALL]
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", words)
        cli.main()
        raise SystemExit(0)
    assert ended.value.code in (0, None), err.getvalue()
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the run."""
    return shutil.copytree(made[0], tmp_path / "run")


def test_what_is_said_and_kept(made, photos):
    folder, out, err = made
    assert "data: 1 class folders, so no image has a label" in err
    assert f"numbers: {NO_LABELS}" in err
    assert f"warning: {NO_LABELS}" in out
    assert "10 nearest in 10" in out
    assert "mAP@all" not in out
    run = Run.open(folder)
    metrics = run.metrics()
    assert (metrics["classes"], metrics["retrieval"], metrics["label_search"]) == ([], None, None)
    assert metrics["validation_map"] is None
    assert metrics["codes"]["codes"] == metrics["neighbours"]["database"] == 40
    found = metrics["neighbours"]
    assert len(found["of_query"]) == found["queries"] == 10
    assert 2 * found["chance"]["10"] < found["recall"]["10"] <= 1
    # The number again, from the codes and from what the saved backbone sees.
    images, encoder, split = load_images(str(photos)).images, run.encoder(), run.split
    features = [
        encoder.backbone(images.read(images.positions(part), 28)).numpy()
        for part in (split.query, split.database)
    ]
    with np.load(run.codes_path) as codes:
        distances = hamming_distances(codes["query"], codes["database"]).astype(float)
    apart = np.linalg.norm(features[0][:, None] - features[1], axis=2)
    shares = []
    for by_features, by_codes in zip(apart, distances, strict=True):
        nearest = np.argsort(by_features)[:10]
        last = np.sort(by_codes)[9]
        room = 10 - (by_codes < last).sum()
        inside = (by_codes[nearest] < last).sum()
        tied = (by_codes[nearest] == last).sum() * room / (by_codes == last).sum()
        shares.append((inside + tied) / 10)
    assert found["recall"]["10"] == pytest.approx(np.mean(shares), abs=0.02)


def test_measured_and_reported_anew(folder, ssah):
    before, page = Run.open(folder).metrics(), (folder / "report.html").read_text()
    assert "Distinct codes" in page
    assert "10 nearest in 10" in page
    assert NO_LABELS.split(";")[0] in page
    for word in ("mAP@all", "✓", "Confusion", "shares a label"):
        assert word not in page
    assert ssah("evaluate", folder).code == 0
    assert Run.open(folder).metrics() == before
    said = ssah("report", folder)
    assert said.code == 0, said.err
    shutil.copytree(folder, folder.with_name("other"))
    said = ssah("report", folder, "other")
    assert said.code == 0, said.err
    assert "no labels" in (folder.parent / "comparison.html").read_text()


def test_the_card_says_what_is_known(made):
    report = Run(made[0]).metrics()
    text = numbers_without_labels(report)
    assert text.startswith(f"10 nearest in 10: **{report['neighbours']['recall']['10']:.4f}** (gue")
    assert NO_LABELS in text
    assert report["protocol"] in text
    assert ", no labels: 10 queries" in text
    assert classes_in_words([]) == ""
    assert classes_in_words(["a\nb", "c"]) == ". 2 classes: a b, c"


def test_integers_need_labels(folder, ssah):
    said = ssah("export", folder, "--int8")
    assert said.code == 1
    assert "--int8 is accepted by its mAP, which no photo has a label for" in said.err
    assert not (folder / "export").exists()


@pytest.mark.slow
def test_from_the_run_to_the_page(folder, ssah, photos):
    said = ssah("export", folder)
    assert said.code == 0, said.err
    assert ssah("verify", folder / "export").code == 0
    card = (folder / "export" / "MODEL_CARD.md").read_text()
    assert "no photo has a label, so mAP cannot be measured" in card
    assert "No label taught it" in card
    assert "mAP@all" not in card
    about = json.loads((folder / "export" / "model_card.json").read_text())
    assert about["retrieval"] is None
    assert about["neighbours"]["queries"] == 10
    assert ssah("index", folder / "export", photos, "--output", "index").code == 0
    said = ssah("search", "index", photos / "0.png", "-k", 1)
    assert "   0  " in said.out
    assert str(photos / "0.png") in said.out
    said = ssah("search", "index", "--label-like", "beach")
    assert said.code == 1
    assert "no photo of the index has a label" in said.err
    with (
        LiveLibrary(folder.with_name("index")) as library,
        TestClient(make_app(library, Settings()), base_url="http://127.0.0.1") as http,
    ):
        assert http.get("/").status_code == 200
        answer = http.post("/search?k=3", content=(photos / "0.png").read_bytes())
        assert answer.json()["neighbours"][0]["distance"] == 0


def test_a_run_outlives_its_folder_and_labels_that_come_later(folder, ssah, photos, tmp_path):
    moved = tmp_path / "moved"
    for name in ("a", "b"):
        (moved / name).mkdir(parents=True)
    for k, path in enumerate(sorted(photos.rglob("*.png"))):
        shutil.copy(path, moved / "ab"[k % 2] / path.name)
    said = ssah("evaluate", folder, "--data", moved)
    assert said.code == 0, said.err
    assert "known by content, with other names: 50 of 50" in said.err
    assert "to learn with them begin a new run" in said.err
    assert "10 nearest in 10" in said.out


@pytest.mark.parametrize("recipe", ["frozen", "folder", "pretrained"])
def test_what_learns_from_labels_is_refused(photos, ssah, tmp_path, recipe):
    said = ssah("train", recipe, "--data", photos, "--output", "refused")
    assert said.code == 1
    (line,) = [text for text in said.err.splitlines() if text.startswith("ssah: ")]
    assert f"no image has a label, and the recipe {recipe} learns from labels" in line
    assert "(1 class folders, so no image has a label)" in line
    assert "ssah suggest" in line
    assert not (tmp_path / "refused").exists()


def test_labels_none_and_a_file_without_a_label(photos, ssah, tmp_path):
    """Folders are no classes with `none`; nor are there any if no row of a file has a label."""
    for name in ("2019", "2020"):
        (tmp_path / "years" / name).mkdir(parents=True)
        for k in range(3):
            shutil.copy(photos / f"{2 * k}.png", tmp_path / "years" / name / f"{name}{k}.png")
    (tmp_path / "labels.csv").write_text("path,label\n0.png,\n2.png,\n")
    for words in (("years", "--labels", "none"), (photos, "--labels", "labels.csv")):
        said = ssah("data", "check", *words, "--no-near")
        assert said.code == 0
        assert " 0 with a label" in said.out
    assert "no row has a label" in said.out
