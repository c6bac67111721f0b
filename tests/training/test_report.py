import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_fashion
from ssah_tf.metrics.relevance import LabelLists
from ssah_tf.system.errors import RunError
from ssah_tf.training.as_others import print_as
from ssah_tf.training.build import build_game
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.label_search import label_search
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.report import write_comparison, write_report
from ssah_tf.training.report.neighbours import CodeSpace
from ssah_tf.training.start import start


def evaluated(folder, *overrides):
    """A run whose encoder was never trained, with a made-up history: enough for every chart."""
    recipe = load_recipe("fashion", ("model.options.width=8", "train.joint=3", *overrides))
    run, loaded = start(recipe, folder)
    game = build_game(recipe, loaded.images, run.split)
    game.hnet.save(run.model_path)
    stages = ["hnet_warmup", "anet_warmup", *["joint"] * 3]
    run.save_history(
        [
            {
                "epoch": i,
                "stage": stage,
                "seconds": 1.0,
                "rho": 0.1 * i,
                "supervised": 3.0 / (i + 1),
                "validation_map": 0.1 * i,
                "validation_error": 0.01,
                **({} if stage == "hnet_warmup" else {"adversary": 0.4}),
            }
            for i, stage in enumerate(stages)
        ]
    )
    Image.new("RGB", (300, 200), "red").save(run.picture_path)
    evaluate(run, loaded.images)
    write_report(run, loaded.images)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [evaluated(root / "first"), evaluated(root / "second", "model.bits=12", "seed=1")]


def test_what_another_library_would_print(runs, capsys):
    """Ties in the order of the split; the range of an unstable sort holds that number."""
    lines = {}
    for name in ("tensorflow-similarity", "ranx"):
        print_as(runs[1], None, name)
        *numbers, call, _ = capsys.readouterr().out.splitlines()
        assert call.startswith(f"{name}: ")
        lines[name] = [line.split(maxsplit=1) for line in numbers]
    assert [label for label, _ in lines["ranx"]][:4] == ["mAP@all", "mAP@1", "mAP@5", "mAP@10"]
    for (_, value), (_, ends) in zip(*lines.values(), strict=True):
        low, high = map(float, ends.split(" to "))
        assert low < float(value) < high
    found = json.loads(runs[1].metrics_path.read_bytes())["retrieval"]
    assert float(lines["tensorflow-similarity"][0][1]) == pytest.approx(
        found["map_tie_aware"], abs=0.02
    )


def test_unknown_library(runs):
    with pytest.raises(RunError, match="--as: received 'rank', expected list, scikit-learn, "):
        print_as(runs[1], None, "rank")


def page_of(run):
    return run.report_path.read_text(encoding="utf-8")


def test_page_is_self_contained_and_holds_the_numbers(runs):
    page = page_of(runs[0])
    metrics = json.loads(runs[0].metrics_path.read_bytes())
    assert f"<b>{metrics['retrieval']['map_tie_aware']:.3f}</b>" in page
    assert metrics["protocol"] in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) > 130  # 12 queries with 10 neighbours each, and the charts
    assert all(address.startswith("data:") for address in addresses)
    assert "http" not in re.sub(r'"data:[^"]*"', "", page)


def test_page_says_what_was_trained(runs):
    page = page_of(runs[0])
    assert "Dotted lines part warm-up of H-Net, warm-up of A-Net, joint stage. rho is" in page
    assert "What A-Net makes of the same images, epoch by epoch; the originals on top." in page


def test_a_training_of_one_look_at_features_has_no_curves(runs, tmp_path):
    shutil.copytree(runs[0].folder, tmp_path / "copy")
    run = type(runs[0]).open(tmp_path / "copy")
    run.save_history([{k: v for k, v in run.history[-1].items() if k != "rho"}])
    write_report(run, load_fashion())
    assert "Training curves" in page_of(runs[0])
    assert "Training curves" not in page_of(run)


def test_search_by_label_is_measured_for_each_class(runs):
    """The table has each class; what is searched is what training had no label of."""
    run = runs[0]
    found = json.loads(run.metrics_path.read_bytes())["label_search"]
    page, names = page_of(run), json.loads(run.metrics_path.read_bytes())["classes"]
    for name, value, guess, labelled in zip(
        names,
        found["map_per_class"],
        found["chance_per_class"],
        found["labelled_per_class"],
        strict=True,
    ):
        cells = f"<td>{name}</td><td>{labelled}</td><td>{value:.3f}</td><td>{guess:.3f}</td>"
        assert cells in page
    assert found["map"] == pytest.approx(np.mean(found["map_per_class"]))
    split = run.split
    assert found["photos"] == len(
        {*split.query, *split.database} - {*split.labelled, *split.validation}
    )
    assert sum(found["labelled_per_class"]) == len(split.labelled)


def test_numbers_of_an_older_version_have_no_search_by_label(runs, tmp_path):
    shutil.copytree(runs[0].folder, tmp_path / "copy")
    run = type(runs[0]).open(tmp_path / "copy")
    metrics = json.loads(run.metrics_path.read_bytes())
    del metrics["label_search"]
    run.metrics_path.write_text(json.dumps(metrics))
    write_report(run, load_fashion())
    assert "Search by label" in page_of(runs[0])
    assert "Search by label" not in page_of(run)


def test_search_by_label_by_hand():
    """Class 0 has the codes 1110 and 1100, so 1110; class 1 has 0001, and class 2 has none.

    Held out are 1110 of class 0 (distances 0 and 4), 0001 of classes 0 and 2 (4 and 0), 1010 of
    none (1 and 3). Class 0: right, wrong, right, so (1 + 2/3) / 2; class 1 has none held out.
    """
    bits = np.array(
        [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0]],
        np.uint8,
    )
    labels = LabelLists.of(
        np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]], np.uint8)
    )
    found = label_search(np.packbits(bits, axis=1), labels, np.arange(3), np.arange(3, 6), 4)
    assert found["map_per_class"] == [pytest.approx(5 / 6), None, None]
    assert found["map"] == pytest.approx(5 / 6)
    assert 0 < found["chance"] == found["chance_per_class"][0] < 1
    assert (found["labelled_per_class"], found["photos"]) == ([2, 1, 0], 3)
    none = label_search(np.packbits(bits, axis=1), labels, np.arange(2, 3), np.arange(3, 6), 4)
    assert (none["map"], none["chance"]) == (None, None)


def test_neighbours_are_marked_right_and_wrong(runs):
    page = page_of(runs[0])
    right, wrong = page.count('class="hit right"'), page.count('class="hit wrong"')
    assert right + wrong == 120
    assert right > 0
    assert wrong > 0
    assert page.count('class="hit query"') == 12


def test_report_is_made_again_and_alike(runs):
    before = page_of(runs[0])
    runs[0].report_path.unlink()
    write_report(runs[0], load_fashion())
    assert page_of(runs[0]) == before


def test_runs_that_have_no_report(runs, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(runs[0].folder, folder)
    run = type(runs[0]).open(folder)
    run.album_path.write_bytes(b"no pictures")
    with pytest.raises(RunError, match=r"hard_samples\.npz: damaged"):
        write_report(run, load_fashion())
    run.album_path.unlink()
    run.codes_path.write_bytes(b"no codes")
    with pytest.raises(RunError, match=r"codes\.npz: missing or damaged"):
        write_report(run, load_fashion())
    np.savez(run.codes_path, query=np.zeros((3, 6), np.uint8), database=np.zeros((3, 6), np.uint8))
    with pytest.raises(RunError, match="does not fit the split"):
        write_report(run, load_fashion())
    run.metrics_path.write_bytes(b"{}")
    with pytest.raises(RunError, match=r"not evaluated yet, or damaged \(parts are missing\)"):
        write_report(run, load_fashion())
    run.metrics_path.unlink()
    with pytest.raises(RunError, match="run `ssah evaluate"):
        write_report(run, load_fashion())


def test_comparison(runs, tmp_path):
    output = tmp_path / "both.html"
    write_comparison(runs, output)
    page = output.read_text(encoding="utf-8")
    for run in runs:
        found = json.loads(run.metrics_path.read_bytes())["retrieval"]
        assert f"<b>{found['map_tie_aware']:.4f}</b>" in page
        assert f"<td>{run.folder.name}</td>" in page
    assert "http" not in re.sub(r'"data:[^"]*"', "", page)
    assert "cannot be compared" not in page  # only the seeds differ
    folder = tmp_path / "other"
    shutil.copytree(runs[1].folder, folder)
    other = type(runs[1]).open(folder)
    text = other.metrics_path.read_text().replace("n-per-class", "cifar10-59k")
    other.metrics_path.write_text(text)
    write_comparison([runs[0], other], output)
    assert output.read_text(encoding="utf-8").count("cannot be compared") == 1
    with pytest.raises(RunError, match="name each run once"):
        write_comparison([runs[0], runs[0]], output)


SPACE = CodeSpace(
    query_codes=np.array([[0b11110000], [0b00000000]], np.uint8),
    query_labels=LabelLists.of(np.array([[1, 0], [0, 1]], np.uint8)),
    database_codes=np.array([[0b11110000], [0b11111111], [0b00000001], [0b11000000]], np.uint8),
    database_labels=LabelLists.of(np.array([[1, 0], [1, 1], [0, 1], [0, 1]], np.uint8)),
    bits=8,
)


def test_ties_are_not_found_in_the_order_of_classes():
    """All images have one code: neighbours are of every class, not all of the first."""
    classes = np.repeat(np.eye(4, dtype=np.uint8), 50, axis=0)
    codes = np.zeros((200, 1), np.uint8)
    space = CodeSpace(codes[:8], LabelLists.of(classes[:8]), codes, LabelLists.of(classes), 8)
    positions, distances = space.ranked(0, 100)
    assert not distances.any()
    assert len(set(positions)) == 100
    assert (classes[positions].sum(axis=0) > 10).all()
    np.testing.assert_allclose(space.confusion(200).matrix()[0], 0.25)
    assert space.confusion(100).matrix()[0].min() > 0.1


def test_code_space_by_hand():
    """Distances of the first query: 0 4 5 2; of the second: 4 8 1 2."""
    positions, distances = SPACE.ranked(0, 3)
    assert positions.tolist() == [0, 3, 1]
    assert distances.tolist() == [0, 2, 4]
    assert SPACE.relevant(0, positions).tolist() == [True, False, True]
    # The two nearest: images 0 and 3 of the first query, 2 and 3 of the second.
    np.testing.assert_allclose(SPACE.confusion(2).matrix(), [[0.5, 0.5], [0, 1]])
    similar, dissimilar = SPACE.distance_counts()
    assert np.flatnonzero(similar).tolist() == [0, 1, 2, 4, 8]
    assert np.flatnonzero(dissimilar).tolist() == [2, 4, 5]
    assert similar.sum() + dissimilar.sum() == 8


def test_truncated_codes_keep_the_first_bits():
    """Two bits: 11 against 11 11 00 11, relevant 0 and 1: hits within a tie of three."""
    expected_first = np.mean(
        [
            np.mean([(k + 1) / (place + 1) for k, place in enumerate(sorted(places))])
            for places in ((0, 1), (0, 2), (1, 2))
        ]
    )
    # 00 against the same: image 2 first, then a tie of three with two relevant ones, 1 and 3.
    expected_second = np.mean(
        [
            np.mean([1, *((k + 2) / (place + 2) for k, place in enumerate(places))])
            for places in ((0, 1), (0, 2), (1, 2))
        ]
    )
    assert SPACE.truncated(2) == pytest.approx((expected_first + expected_second) / 2)


@pytest.mark.parametrize("kind", ["report", "comparison"])
def test_in_a_browser(runs, tmp_path, driver, kind):
    """No error on the console, no request to a network, every image visible, at three widths."""
    page = runs[0].report_path
    if kind == "comparison":
        page = tmp_path / "comparison.html"
        write_comparison(runs, page)
    for width in (400, 800, 1400):
        driver.set_window_size(width, 900)
        driver.get(page.as_uri())
        driver.execute_script(
            "for (const i of document.images) i.loading = 'eager';"
            "window.scrollTo(0, document.body.scrollHeight);"
        )
        driver.execute_async_script(
            "Promise.all([...document.images].map(i => i.decode())).then(arguments[0])"
        )
        images, shown = driver.execute_script(
            "const all = [...document.images];"
            "return [all.length, all.filter(i => i.naturalWidth > 0 && i.width > 20).length]"
        )
        assert images == shown
        assert images >= (3 if kind == "comparison" else 130)
        # Nothing but the strips of pictures may be wider than the screen.
        assert driver.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )
    assert driver.get_log("browser") == []
    events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    # The browser's own new tab is of the scheme chrome.
    schemes = {url.split(":")[0] for url in asked}
    assert schemes <= {"file", "data", "chrome", "chrome-untrusted"}


def test_template_package_data_is_installed():
    names = {path.name for path in resources.files("ssah_tf.training.report").iterdir()}
    assert {"base.html.j2", "page.html.j2", "compare.html.j2"} <= names


def test_scripts_are_not_run_from_names(runs, tmp_path):
    """A class or file name is text, whatever it holds."""
    folder = tmp_path / "copy"
    shutil.copytree(runs[0].folder, folder)
    run = type(runs[0]).open(folder)
    report = json.loads(run.metrics_path.read_bytes())
    report["classes"][0] = "<script>alert(1)</script>"
    run.metrics_path.write_text(json.dumps(report))
    write_report(run, load_fashion())
    assert "<script>" not in page_of(run)


def test_report_needs_no_tensorflow(runs):
    code = (
        "import sys; from ssah_tf.training.report import write_comparison; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_thousands_of_classes_take_memory_for_what_is_found():
    """A matrix of 5,000 classes has 200 MB, their labels as a table 75: neither is made."""
    classes = 5_000
    rng = np.random.default_rng(0)
    database = LabelLists(np.arange(2 * classes) // 2, np.arange(2 * classes + 1), classes)
    queries = database.take(np.arange(0, 2 * classes, 2))
    codes = rng.integers(0, 256, (2 * classes, 4), np.uint8)
    space = CodeSpace(codes[::2], queries, codes, database, 32)
    tracemalloc.start()
    confusion = space.confusion(10)
    similar, dissimilar = space.distance_counts()
    value = space.truncated(32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
    assert similar.sum() == 2 * 2_000  # each of the drawn queries has two relevant images
    assert dissimilar.sum() == 2_000 * (2 * classes - 2)
    assert 0.5 <= value < 0.6  # each finds itself first, and its class by chance
    assert np.bincount(confusion.query, confusion.share).max() == pytest.approx(1)
    assert len(np.unique(confusion.query)) == 2_000
