"""A choice from the first file to the run of the one that was chosen; machines that are made up."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from ssah_tf.data import load_images
from ssah_tf.encoding.feature_parts import write_part
from ssah_tf.system.errors import SsahError
from ssah_tf.training.choose import begin as begin_module
from ssah_tf.training.choose import run as module
from ssah_tf.training.choose.begin import begin, load, plan
from ssah_tf.training.choose.budget import Clock
from ssah_tf.training.choose.deadline import Deadline, OutOfTime
from ssah_tf.training.choose.kept import contents_seen, recount
from ssah_tf.training.choose.plan import PLANNED
from ssah_tf.training.choose.record import read_record, undecided
from ssah_tf.training.choose.run import carry_out, promote, tidy
from ssah_tf.training.choose.timing import FrozenTiming, GameTiming
from ssah_tf.training.hash_layer import feature_store as store_module
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run

#: The photos are few and small, and so are the trainings.
SMALL = ("data.image_size=32", "model.bits=12", "train.steps_per_epoch=2", "train.batch=8")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eighty pictures of two colours."""
    root, rng = tmp_path_factory.mktemp("set") / "photos", np.random.default_rng(0)
    for k in range(80):
        path = root / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = np.array([(255, 60, 30), (20, 90, 255)][k % 2])
        pixels = np.clip(colour + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(autouse=True, scope="module")
def machine():
    """A machine whose speed is known: some ten seconds for `frozen`. Parts have 64 features."""
    timing = FrozenTiming(1.0, 0.001, {32: 0.01}, 1.0, 0.05)
    game = GameTiming(32, 5.0, {"hnet_warmup": 0.1, "anet_warmup": 0.1, "joint": 0.2}, 0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(begin_module, "time_frozen", lambda *_: timing)
        patch.setattr(begin_module, "time_game", lambda *_: game)
        patch.setattr(store_module, "PART", 64)
        yield


def started(photos, folder, budget=600.0, *overrides):
    changes = (f"data.source={json.dumps(str(photos))}", *SMALL, *overrides)
    loaded, split, changes = load(changes)
    clock = Clock(budget)
    run, record = begin(folder, loaded.images, split, changes, clock)
    return run, loaded.images, record, clock


def told(words=None):
    return (words if words is not None else []).append


def encoder_of(run):
    """Its weights, as text that can be compared."""
    return [weights.tobytes() for weights in run.encoder().get_weights()]


@pytest.fixture(scope="module")
def undisturbed(photos, machine, tmp_path_factory):
    """A choice of two candidates that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run, images, record, clock = started(photos, folder)
    said = []
    return carry_out(run, images, record, clock, say=said.append), said


@pytest.mark.slow
def test_what_is_planned_is_tried_and_one_becomes_the_run(undisturbed):
    run, said = undisturbed
    record = read_record(run)
    assert [planned.name for planned in record.planned] == ["baseline", "frozen"]
    assert {part.name for part in record.left_out} == {"folder", "pretrained"}
    assert [line.split(":")[0] for line in said] == ["baseline", "frozen"]
    assert [result.name for result in record.results] == ["baseline", "frozen"]
    assert record.chosen in ("baseline", "frozen")
    assert run.recipe.name == record.chosen
    assert run.encoder().bits == 12
    other = ({"baseline", "frozen"} - {record.chosen}).pop()
    assert [path.name for path in (run.folder / "candidates").iterdir()] == [other]
    assert Run.open(run.folder / "candidates" / other).encoder().bits == 12
    assert 0 < record.spent < 600


@pytest.mark.slow
def test_candidates_are_measured_on_the_same_images(undisturbed):
    """The numbers of each are those of its history; the images are those that validate."""
    run, _ = undisturbed
    record = read_record(run)
    for result in record.results:
        assert len(result.average_precision) == len(run.split.validation)
        assert np.mean(result.average_precision) == pytest.approx(result.validation_map, abs=1e-5)
    (entry,) = run.history
    assert entry["validation_map"] == record.result(record.chosen).validation_map
    assert json.loads(run.validation_path.read_bytes()) == (
        record.result(record.chosen).average_precision
    )


@pytest.mark.slow
def test_a_candidate_is_what_its_recipe_alone_gives(undisturbed, tmp_path):
    """With shared features or without, the same encoder to the bit."""
    from ssah_tf.training.start import start
    from ssah_tf.training.train import train

    run, _ = undisturbed
    recipe = load_recipe(run.recipe_path)
    alone, loaded = start(recipe, tmp_path / "alone")
    train(alone, loaded.images)
    assert encoder_of(alone) == encoder_of(run)
    assert alone.history[0]["validation_map"] == run.history[0]["validation_map"]


@pytest.mark.slow
def test_features_are_computed_once_and_removed_at_the_end(photos, tmp_path, monkeypatch):
    seen = []
    original = store_module.feature_batches

    def counted(hnet, images, positions, size):
        seen.append(len(positions))
        return original(hnet, images, positions, size)

    monkeypatch.setattr(store_module, "feature_batches", counted)
    run, images, record, clock = started(photos, tmp_path / "run")
    run = carry_out(run, images, record, clock, say=told())
    assert seen == [len(run.split.labelled) + len(run.split.validation)]
    assert (run.folder / "features").is_dir()  # until it is measured
    tidy(run)
    assert not (run.folder / "features").exists()


def test_with_few_classes_more_of_each_validate(photos):
    """Ten a class, of 2 classes, are too few to choose by; a fifth of a class is the most."""
    source = f"data.source={json.dumps(str(photos))}"
    _, split, changes = load((source, "data.query_per_class=1"))
    assert changes[-1] == "data.validation_per_class=50"
    assert len(split.validation) == 2 * (39 // 5)
    _, split, changes = load((source, "data.validation_per_class=3"))
    assert len(split.validation) == 6
    assert changes == (source, "data.validation_per_class=3")


def resumed(folder, images):
    run = Run(folder)
    record = undecided(run)
    clock = Clock(record.budget, record.spent)
    return carry_out(run, images, record, clock, say=told()), record


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.slow
def test_killed_in_the_features(photos, tmp_path, monkeypatch, undisturbed):
    """After the first of two parts: it is not computed again, and all ends alike."""
    run, images, record, clock = started(photos, tmp_path / "run")
    with monkeypatch.context() as patch:
        original = store_module.write_part

        def write(*part):
            original(*part)
            raise Killed

        patch.setattr(store_module, "write_part", write)
        with pytest.raises(Killed):
            carry_out(run, images, record, clock, say=told())
    (part,) = (run.folder / "features").iterdir()
    before = part.stat().st_mtime_ns
    with pytest.raises(SsahError, match=r"nothing is chosen yet; go on with `ssah train --resume"):
        Run.open(run.folder)
    run, _ = resumed(run.folder, images)
    assert part.stat().st_mtime_ns == before
    assert encoder_of(run) == encoder_of(undisturbed[0])


@pytest.mark.slow
def test_killed_between_candidates(photos, tmp_path, monkeypatch, undisturbed):
    run, images, record, clock = started(photos, tmp_path / "run")
    with monkeypatch.context() as patch:
        original = module.one

        def one(*given):
            if given[3].name == "frozen":
                raise Killed
            original(*given)

        patch.setattr(module, "one", one)
        with pytest.raises(Killed):
            carry_out(run, images, record, clock, say=told())
    trained = run.folder / "candidates" / "baseline" / "model.keras"
    before = trained.stat().st_mtime_ns
    spent = read_record(run).spent
    run, record = resumed(run.folder, images)
    kept = run.model_path if record.chosen == "baseline" else trained
    assert kept.stat().st_mtime_ns == before
    assert record.spent > spent
    assert [result.name for result in record.results] == ["baseline", "frozen"]
    assert encoder_of(run) == encoder_of(undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize("moves", [0, 1, 3])
def test_killed_while_the_chosen_one_becomes_the_run(
    photos, tmp_path, monkeypatch, undisturbed, moves
):
    run, images, record, clock = started(photos, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(module, "promote", lambda *_: None)
        carry_out(run, images, record, clock, say=told())
    with monkeypatch.context() as patch:
        original, done = module.Path.replace, []

        def replace(path, target):
            if len(done) == moves:
                raise Killed
            done.append(path)
            return original(path, target)

        patch.setattr(module.Path, "replace", replace)
        with pytest.raises(Killed):
            promote(run, record.chosen)
    assert not run.recipe_path.exists()
    run, _ = resumed(run.folder, images)
    assert encoder_of(run) == encoder_of(undisturbed[0])
    promote(run, run.recipe.name)  # a second time changes nothing
    assert run.recipe_path.is_file()


@pytest.mark.slow
def test_no_time_is_left_for_the_second(photos, tmp_path):
    """The first is made whatever it takes; the budget says when to stop."""
    run, images, record, clock = started(photos, tmp_path / "run")
    clock.before = 700.0
    run = carry_out(run, images, record, clock, say=told())
    record = read_record(run)
    assert record.chosen == "baseline"
    assert record.why == "it was the only one"
    assert record.left_out[-1].name == "frozen"
    assert record.left_out[-1].why == "no time was left for it"


def test_a_slow_machine_shortens_what_is_left(photos, tmp_path):
    """Half of the time of `frozen` is left: half of its 20 epochs."""
    run, _, record, _ = started(photos, tmp_path / "run")
    frozen = record.planned[1]
    clock = Clock(record.budget)
    record.results.append(
        module.Result(
            name="baseline",
            share=1,
            seconds=1,
            validation_map=0,
            validation_error=0,
            average_precision=[0.0] * len(run.split.validation),
        )
    )
    grace = module.OVERRUN * record.budget / 2
    clock.before = record.budget + grace - frozen.seconds / 2
    assert module.share_left(record.todo(), record, clock) == pytest.approx(0.5, abs=0.02)
    clock.before += frozen.seconds / 4
    assert module.share_left(record.todo(), record, clock) is None


def test_a_candidate_that_cannot_be_trained_is_left_out(photos, tmp_path, monkeypatch):
    """The other one is tried, measured and becomes the run."""
    from ssah_tf.system.errors import RecipeError

    original = module.train

    def train(run, *given, **named):
        if run.recipe.name == "frozen":
            raise RecipeError("no")
        original(run, *given, **named)

    monkeypatch.setattr(module, "train", train)
    run, images, record, clock = started(photos, tmp_path / "run")
    run = carry_out(run, images, record, clock, say=told())
    record = read_record(run)
    assert record.left_out[-1].why == "no"
    assert [result.name for result in record.results] == ["baseline"]
    assert len(record.results[0].average_precision) == len(run.split.validation)
    assert run.recipe.name == record.chosen == "baseline"
    assert run.encoder().bits == 12


def test_too_small_a_budget_leaves_no_folder(photos, tmp_path):
    with pytest.raises(SsahError, match="the smallest that works is --budget"):
        started(photos, tmp_path / "run", 1.0)
    assert not (tmp_path / "run").exists()


def test_a_damaged_record(tmp_path):
    run = Run(tmp_path)
    run.choice_path.write_bytes(b"{}")
    with pytest.raises(SsahError, match=r"choice\.json: damaged"):
        read_record(run)
    assert read_record(Run(tmp_path / "none")) is None


class Model:
    """Of a game, what the deadline looks at."""

    stage, stop_training, has_adversary = "joint", False, True


def epochs(deadline, model, count):
    deadline.set_model(model)
    for epoch in range(count):
        deadline.on_epoch_begin(epoch)
        deadline.on_epoch_end(epoch)
        if model.stop_training:
            return epoch + 1
    return count


def test_a_training_ends_with_its_time():
    recipe = load_recipe("fashion")  # 4 + 1 + 26 epochs
    left = iter(range(50, 0, -5))
    deadline, model = Deadline(lambda: next(left), recipe, finish=22), Model()
    assert epochs(deadline, model, 31) == 7  # 50, 45, ..., 20 seconds were left
    assert deadline.cut == 31 - 7
    warming = Model()
    warming.stage = "hnet_warmup"
    with pytest.raises(OutOfTime, match="before its last stage"):
        epochs(Deadline(lambda: 0.0, recipe, 1.0), warming, 4)
    done = Model()
    assert epochs(Deadline(lambda: -1.0, load_recipe("fashion", ("train.joint=1",)), 0), done, 1)
    assert done.stop_training
    last = Deadline(lambda: -1.0, recipe, 0)
    last.set_model(model := Model())
    last.on_epoch_begin(30)
    last.on_epoch_end(30)  # nothing is left to cut
    assert (model.stop_training, last.cut) == (False, 0)
    model.has_adversary = False  # and no warm-up of A-Net
    last.on_epoch_begin(29)
    last.on_epoch_end(29)
    assert (model.stop_training, last.cut) == (False, 0)


@pytest.mark.slow
def test_the_command(photos, ssah, tmp_path, monkeypatch):
    """Plan, table, numbers and report; evaluate and report work on what it leaves."""
    monkeypatch.setenv("COLUMNS", "160")
    run = tmp_path / "run"
    words = [word for override in SMALL for word in ("--set", override)]
    said = ssah("train", "--data", photos, "--budget", "10m", "--output", run, *words)
    assert said.code == 0, said.err
    assert "plan: 10 min in all" in said.out
    assert "what the others have to beat" in said.out
    assert "chosen: " in said.out
    assert "mAP@all, tie-aware" in said.out
    record = read_record(Run(run))
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>What was tried</h2>" in page
    assert f"Chosen: <b>{record.chosen}</b>" in page
    for result in record.results:
        shown = f"{result.validation_map:.3f} ± {result.validation_error:.3f}"
        assert f"<tr><td>{result.name}</td>" in page
        assert f"<td>{shown}</td>" in page
    assert "<td>for small pictures that are unlike photographs</td>" in page or (
        "<td>folder</td>" in page
    )
    assert not (run / "features").exists()
    assert yaml.safe_load((run / "recipe.yaml").read_text())["name"] == record.chosen
    said = ssah("report", run)
    assert said.code == 0, said.err
    assert "<h2>What was tried</h2>" in (run / "report.html").read_text(encoding="utf-8")
    said = ssah("evaluate", run)
    assert said.code == 0, said.err


@pytest.mark.slow
def test_resume_after_a_kill_before_the_numbers(photos, ssah, tmp_path, monkeypatch):
    run = tmp_path / "run"
    words = [word for override in SMALL for word in ("--set", override)]
    with monkeypatch.context() as patch:
        from ssah_tf.training import measure

        def broken(*_):
            raise KeyboardInterrupt

        patch.setattr(measure, "measure", broken)
        said = ssah("train", "--data", photos, "--output", run, *words)
    assert said.code == 130
    assert f"go on with: ssah train --resume {run}" in said.err
    assert not (run / "metrics.json").exists()
    trained = (run / "model.keras").stat().st_mtime_ns
    said = ssah("train", "--resume", run)
    assert said.code == 0, said.err
    assert "mAP@all, tie-aware" in said.out
    assert (run / "model.keras").stat().st_mtime_ns == trained


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--budget", "soon"), "--budget soon: expected a time such as 90s, 10m or 2h"),
        (("--budget", "1s", "--set", SMALL[0]), "the smallest that works is --budget "),
        (("--set", "train.joint=3"), "--set train.joint=3: belongs to one recipe; name it"),
        (("--set", "data.image_sizes=3"), "unknown key 'data.image_sizes'"),
        (("frozen", "--budget", "5m"), "--budget is for ssah train --data DIR without a recipe"),
    ],
)
def test_bad_input_is_one_line(photos, ssah, tmp_path, words, line):
    said = ssah("train", "--data", photos, "--output", tmp_path / "run", *words)
    assert said.code == 1
    (last,) = [text for text in said.err.splitlines() if text.startswith("ssah: ")]
    assert line in last
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_labels_on_a_few_photos_only(photos, ssah, tmp_path):
    """Three labels of each of two classes are enough to begin; two are not, and that is said."""
    table = tmp_path / "labels.csv"
    rows = [f"{'ab'[k % 2]}/{k}.png,{'red' if k % 2 == 0 else 'blue'}" for k in range(6)]
    table.write_text("\n".join(["path,label", *rows]))
    words = [word for override in SMALL for word in ("--set", override)]
    words += ["--data", photos, "--labels", table, "--output"]
    said = ssah("train", *words, tmp_path / "run")
    assert said.code == 0, said.err
    record = read_record(Run(tmp_path / "run"))
    assert not record.enough
    assert record.chosen == "frozen"
    assert "few labels validate" in said.out
    table.write_text("\n".join(["path,label", *rows[:4]]))
    said = ssah("train", *words, tmp_path / "other")
    assert said.code == 1
    assert "label at least 3 images a class" in said.err
    table.write_text("\n".join(["path,label", *rows[::2]]))
    said = ssah("train", *words, tmp_path / "other")
    assert said.code == 1
    assert "1 classes with images, at least 2 are needed" in said.err
    table.write_text("path,label\n")
    said = ssah("train", *words, tmp_path / "other")
    assert said.code == 1


def test_features_that_are_there_are_no_part_of_the_plan(photos, tmp_path):
    """Thirty in a working folder when it is planned, and ten more when it goes on."""
    images = load_images(str(photos)).images
    timing = FrozenTiming(1.0, 0.001, {32: 0.01}, 1.0, 0.05, keys={32: "key"})
    work = tmp_path / "work"
    seen = tuple(contents_seen(images, started(photos, tmp_path / "any")[0].whole_split, 99))
    (work / "features").mkdir(parents=True)
    write_part(work / "features", "key", list(seen[:30]), np.zeros((30, 4), np.float32))
    write_part(work / "features", "other", list(seen), np.zeros((len(seen), 4), np.float32))
    changes = (f"data.source={json.dumps(str(photos))}", *SMALL)
    loaded, split, changes = load(changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(begin_module, "time_frozen", lambda *_: timing)
        new = plan(loaded.images, split, changes, Clock(600.0), tmp_path / "none")
        _, record = begin(tmp_path / "run", loaded.images, split, changes, Clock(600.0), work)
    left = len(seen) - 30
    assert (new.kept, new.to_compute) == (0, len(seen))
    assert (record.kept, record.to_compute) == (30, left)
    assert new.features == pytest.approx(1 + len(seen) * 0.011)
    assert record.features == pytest.approx(1 + left * 0.011)
    write_part(work / "features", "key", list(seen[30:40]), np.zeros((10, 4), np.float32))
    before = record.features
    recount(record, loaded.images, split, work / "features")
    assert (record.kept, record.to_compute) == (40, left - 10)
    assert record.features == pytest.approx(before * (left - 10) / left)


def test_in_a_short_time_fewer_photos_are_looked_at(photos, tmp_path, monkeypatch):
    """Unless their number was set; a recipe that was planned says how many."""
    few = (f"data.source={json.dumps(str(photos))}", *SMALL, "data.labelled_per_class=5")
    loaded, split, changes = load(few)
    timing = FrozenTiming(1.0, 10.0, {32: 0.01}, 1.0, 0.05, keys={32: "key"})
    monkeypatch.setattr(begin_module, "time_frozen", lambda *_: timing)
    monkeypatch.setattr(begin_module, "FEWER", (20, 10))
    assert len(split.unlabelled) > 30

    def planned(seconds, *more):
        """The plan, and how many unlabelled photos its recipes look at."""
        record = plan(loaded.images, split, (*changes, *more), Clock(seconds), tmp_path)
        (most,) = {part.recipe.train.most_unlabelled for part in record.planned}
        known = len(split.labelled) + len(split.validation)
        assert record.to_compute == known + min(len(split.unlabelled), most)
        return record, most

    whole, most = planned(10_000)
    assert most == 20_000
    needed = (whole.features + sum(part.seconds for part in whole.planned)) / PLANNED
    assert planned(needed - 50)[1] == 20
    assert planned(needed - 50 - 10 * (len(split.unlabelled) - 20) / PLANNED)[1] == 10
    assert planned(10_000, "train.most_unlabelled=15")[1] == 15
    with pytest.raises(SsahError, match="the budget is too small for anything"):
        planned(100)


def test_without_labels_the_baseline_is_planned(photos, tmp_path):
    run, images, record, _ = started(photos, tmp_path / "run", 600.0, "data.labels=none")
    assert images.classes == ()
    assert not Run(run.folder).whole_split.labelled
    assert [planned.name for planned in record.planned] == ["baseline"]
    assert record.planned[0].why == "it needs no labels"
    assert {part.why for part in record.left_out} == {"learns from labels, and there are none"}
    unable = FrozenTiming(0.0, 0.001, {}, 0.0, 0.0, "no weights here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(begin_module, "time_frozen", lambda *_: unable)
        with pytest.raises(SsahError, match="no recipe can be tried: no weights here"):
            started(photos, tmp_path / "other", 600.0, "data.labels=none")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_without_labels_the_baseline_is_taken(photos, ssah, tmp_path):
    """Folders that are no classes; the command is the same, and so is what it leaves."""
    words = [word for override in SMALL for word in ("--set", override)]
    said = ssah("train", "--data", photos, "--labels", "none", "--output", tmp_path / "run", *words)
    assert said.code == 0, said.err
    run = Run.open(tmp_path / "run")
    record = read_record(run)
    assert record.chosen == "baseline"
    assert record.result("baseline").validation_map is None
    assert run.recipe.data.labels == "none"
    assert run.metrics()["retrieval"] is None
    assert "few labels validate" not in said.out
    assert "What was tried" in run.report_path.read_text()
    assert not (run.folder / "features").exists()
