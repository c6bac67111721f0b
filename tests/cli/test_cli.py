import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_group

from ssah_tf import __version__
from ssah_tf.cli.app import COMMANDS
from ssah_tf.cli.extras import EXTRAS
from ssah_tf.data import Loaded, load_fashion
from ssah_tf.system.errors import SsahError
from ssah_tf.training import train as training
from ssah_tf.training.recipe import load_recipe

HEAVY = ("tensorflow", "keras", "matplotlib", "onnxruntime", "yaml", "numpy", "PIL", "rich")


@pytest.fixture
def refused(ssah):
    """Runs a command line that is a user's mistake; gives its one line on stderr."""

    def run(*arguments):
        code, out, err = ssah(*arguments)
        assert code == 1
        assert out == ""
        assert err.startswith("ssah: ")
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1
        return err.removeprefix("ssah: ").rstrip("\n")

    return run


def modules_after(code, exit_code=0, modules=HEAVY):
    """Which of `modules` a Python process has imported after `code`, and what it printed."""
    probe = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit as e:\n"
        f"    assert (e.code or 0) == {exit_code}\n"
        f"print([m for m in {modules} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    *printed, modules = done.stdout.splitlines()
    return modules, "\n".join(printed)


def test_import_is_light():
    assert modules_after("import ssah_tf") == ("[]", "")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_is_light(argument):
    modules, printed = modules_after(
        f"import sys; sys.argv = ['ssah', '{argument}']; from ssah_tf.cli.app import main; main()"
    )
    assert modules == "[]"
    assert printed


def test_help_of_every_command_is_light():
    modules, printed = modules_after(
        "from ssah_tf.cli.app import COMMANDS, app; "
        "[app([name, '--help'], standalone_mode=False) for name in COMMANDS]"
    )
    assert modules == "[]"
    assert printed.count("Usage: ") == len(COMMANDS)


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_every_command_is_listed_with_its_module(module):
    found = set(get_group(importlib.import_module(f"ssah_tf.cli.{module}").app).commands)
    listed = {name for name, home in COMMANDS.items() if home == module}
    assert listed == ({"data"} if module == "data" else found)


def test_a_search_imports_only_what_searches(tmp_path):
    others = ("tensorflow", "rich", "pandas", "pyarrow", "faiss", "onnxruntime")
    others += ("ssah_tf.cli.train", "ssah_tf.cli.serve", "ssah_tf.search.sync")
    others += ("ssah_tf.data.sources.by_name", "ssah_tf.metrics.retrieval")
    words = ["ssah", "search", str(tmp_path / "none"), "photo.jpg"]
    code = f"sys.argv = {words}; from ssah_tf.cli.app import main; main()"
    assert modules_after(code, exit_code=1, modules=others) == ("[]", "")


def test_the_service_of_a_search_imports_neither_labelling_nor_review():
    others = ("ssah_tf.serve.label_routes", "ssah_tf.serve.review_routes", "ssah_tf.search.sync")
    code = "import ssah_tf.serve.app"
    assert modules_after(code, modules=others) == ("[]", "")


@pytest.mark.slow
def test_commands_start_without_chatter_of_tensorflow():
    code = "from ssah_tf.cli.extras import import_tensorflow; import_tensorflow(); import os"
    code += "; import tensorflow; os.write(2, b'!')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "!")


def test_failing_import_of_tensorflow_is_not_silent(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'why'); raise OSError")
    code = "from ssah_tf.cli import extras; extras.import_tensorflow()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("why")
    assert done.stderr.rstrip().endswith("OSError")


def test_installed_command():
    """The script beside this Python; one line and no traceback through the real front door."""
    command = Path(sys.executable).with_name("ssah")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ssah-tf {__version__}\n"
    assert done.stderr == ""


def test_version(ssah):
    assert ssah("--version") == (0, f"ssah-tf {__version__}\n", "")


def test_help(ssah):
    code, out, _ = ssah("--help")
    assert code == 0
    for command in (
        "train",
        "data",
        "evaluate",
        "report",
        "export",
        "verify",
        "encode",
        "ablation",
    ):
        assert command in out
        code, usage, _ = ssah(command, "--help")
        assert code == 0
        assert "Usage" in usage
    for command in (("data", "check"),):
        code, out, _ = ssah(*command, "--help")
        assert code == 0
        assert "Usage" in out
    assert "Usage" in "".join(map(str, ssah()))


@pytest.mark.parametrize(
    "arguments",
    [
        ("trian",),
        ("train", "--nope"),
        ("train", "--devices", "0"),
        ("ablation", "--seeds", "0"),
        ("evaluate",),
        ("report",),
        ("data", "chek"),
        ("data", "check"),
        ("train", "a", "b"),
    ],
)
def test_wrong_usage(ssah, arguments):
    code, out, err = ssah(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("module", EXTRAS["train"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("evaluate", "run"),
        ("ablation",),
        ("report", "run"),
        ("export", "run"),
        ("data check", "x"),
    ],
)
def test_missing_extra(refused, monkeypatch, module, arguments):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else real(name)
    )
    expected = f"ssah {arguments[0]} needs {module}: pip install 'ssah-tf[train]'"
    assert refused(*arguments[0].split(), *arguments[1:]) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "fashoin"), "no recipe 'fashoin': built in are "),
        (("ablation", "fashoin"), "no recipe 'fashoin': built in are "),
        (("train", "fashion", "--set", "model.bit=3"), "did you mean 'bits'?"),
        (("train", "fashion", "--set", "model.bits"), "expected key=value"),
        (("train", "fashion", "--set", "model.bits=x"), "model.bits: "),
        (("ablation", "fashion", "--set", "model.bit=3"), "did you mean 'bits'?"),
        (("train", "bad.yaml"), "bad.yaml: not a YAML file"),
        (("train", "fashion", "--data", "none"), "none: no such folder"),
        (("train", "fashion", "--data", "empty"), "empty: no images in this folder"),
        (("train", "fashion", "--output", "full"), "full is not empty: go on with --resume full"),
        (("train", "fashion", "--output", "bad.yaml"), "bad.yaml: cannot be made"),
        (("train", "--resume", "none"), "none: not a run folder"),
        (("train", "--resume", "full"), "full: not a run folder"),
        (("train", "--self-train", "none"), "none: not a run folder"),
        (("train", "--self-train", "full", "--data", "empty"), "from the run: name no --data"),
        (("train", "cub200"), "this recipe brings no images: name their folder with --data"),
        (("train", "--labels", "l.csv"), "--labels belongs to a folder of images"),
        (("train", "--data", "empty", "--labels", "l.csv"), "l.csv: no such file"),
        (("train", "--data", "keras:mnist"), "keras:mnist: choose from cifar10, "),
        (("train", "--set", "data.protocol=cifar"), "no protocol 'cifar', choose from "),
        (("data", "check", "none"), "none: no such folder"),
        (("data", "check", "empty", "--labels", "bad.yaml"), "label files end in .csv"),
        (("duplicates", "none", "--likeness", ".9"), "--likeness is now called --min-ssim"),
        (("report", "none"), "none: not a run folder"),
        (("report", "full", "none"), "full: not a run folder"),
        (("export", "none"), "none: not a run folder"),
        (("verify", "full"), "full: not an export of ssah-tf"),
        (("encode", "none", "full"), "none: no such file; make one with `ssah export RUN`"),
        (("evaluate", "none"), "none: not a run folder"),
        (("evaluate", "full"), "full: not a run folder"),
        (("evaluate", "bad.yaml"), "bad.yaml: not a run folder"),
    ],
)
def test_mistakes(refused, tmp_path, arguments, message):
    (tmp_path / "bad.yaml").write_text("name: [")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert message in refused(*arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.yaml", "empty", "full"]


@pytest.mark.parametrize(
    "more",
    [
        ("fashion",),
        ("--no-sample",),
        ("--output", "o"),
        ("--self-train", "r"),
        ("--set", "seed=1"),
        ("--budget", "1h"),
    ],
)
def test_resume_takes_nothing_else(refused, more):
    assert "has no effect with --resume" in refused("train", "--resume", "run", *more)


@pytest.fixture
def started(monkeypatch):
    """The recipe and folder with which a training would start; it stops there."""
    seen = []

    def start(recipe, folder, check):
        seen.append((recipe, folder))
        raise SsahError("stopped by the test")

    monkeypatch.setattr("ssah_tf.training.start.start", start)
    return seen


def test_default_recipe_and_folder(refused, started, tmp_path):
    assert refused("train") == "stopped by the test"
    (tmp_path / "runs" / "fashion").mkdir(parents=True)
    refused("train", "--set", "model.bits=8", "--set", "seed=4")
    refused("train", "fashion", "--output", "elsewhere")
    assert [str(folder) for _, folder in started] == ["runs/fashion", "runs/fashion-2", "elsewhere"]
    assert started[0][0].name == "fashion"
    assert (started[1][0].model.bits, started[1][0].seed) == (8, 4)


@pytest.mark.parametrize(
    "name", ["photos", "2024", "a: b", "x #1", "[y]", "yes", "é '漢' 😀", "fashion"]
)
def test_folder_with_any_name(refused, started, tmp_path, name):
    """A folder is a folder, whatever its name would mean in YAML; resuming works from anywhere."""
    (tmp_path / name).mkdir()
    assert refused("train", "fashion", "--data", name) == "stopped by the test"
    assert started[0][0].data.source == str(tmp_path / name)


class FakeRun:
    """What the command line needs of a run."""

    folder = Path("runs/x")
    model_path = Path("runs/x/model.keras")

    recipe = load_recipe("fashion")

    class split:
        protocol = "a protocol"
        query = tuple(f"test/{k:05d}" for k in range(60))
        database = tuple(f"train/{k:05d}" for k in range(100))


def test_interrupted(ssah, monkeypatch):
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    bad = {"cat/1.png": "cat/1.png: empty, or not an image"}
    loaded = Loaded(load_fashion(), bad, [f"{k}.jpg" for k in range(3)])
    monkeypatch.setattr("ssah_tf.training.start.start", lambda *given: (FakeRun, loaded))
    monkeypatch.setattr(training, "train", interrupted)
    code, out, err = ssah("train")
    assert code == 130
    assert out == "a protocol\nrun folder: runs/x\n"
    assert err.splitlines() == [
        "skipped: cat/1.png: empty, or not an image",
        "without a file: '0.jpg', for example",
        "data: 1 files cannot be read; see `ssah data check`",
        "data: 3 labels have no file; see `ssah data check`",
        "ssah: interrupted; go on with: ssah train --resume runs/x",
    ]


@pytest.fixture
def photos(tmp_path):
    """Twelve photos of two classes, and one file that is none."""
    rng = np.random.default_rng(0)
    for k in range(12):
        path = tmp_path / "photos" / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((60, 60), Image.Resampling.BICUBIC).save(path)
    (tmp_path / "photos" / "cat" / "bad.jpg").write_bytes(b"")
    return tmp_path / "photos"


def test_data_check(ssah, photos):
    code, out, err = ssah("data", "check", "photos")
    assert (code, err) == (0, "")
    assert "photos: 12 images, 12 with a label (100.0%), 0 with several; 2 classes" in out
    assert "photos/cat/bad.jpg: empty, or not an image" in out
    assert "warning: 1 files cannot be read" in out
    assert ssah("data", "check", "photos", "--strict")[0] == 3
    (photos / "dog" / "copy.png").write_bytes((photos / "cat" / "0.png").read_bytes())
    code, out, _ = ssah("data", "check", "photos", "--json")
    assert code == 3
    report = json.loads(out)
    assert report["conflicts"] == [["cat/0.png", "dog/copy.png"]]
    assert report["errors"] == ["1 groups of copies have different labels"]
    (photos / "cat" / "0.png").unlink()
    assert ssah("data", "check", "photos")[0] == 0


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_a_terminal_that_cannot_write_a_name(encoding, tmp_path):
    """Tables, lines and messages alike: what the encoding lacks is an escape, not a traceback."""
    for k, name in enumerate(("\u043f\u043b\u044f\u0436", "\u72ac", "[red]x\x1b[31m")):
        (tmp_path / "p" / name).mkdir(parents=True)
        for n in range(3):
            Image.new("RGB", (9, 9), (k * 80, n * 80, 0)).save(tmp_path / "p" / name / f"{n}.png")

    def output_of(*words):
        return subprocess.run(
            [sys.executable, "-m", "ssah_tf.cli", *map(str, words)],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
        )

    done = output_of("data", "check", tmp_path / "p", "--no-near")
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode(encoding)
    assert "[red]x\\x1b[31m" in out
    assert "\x1b" not in out
    assert ("\u72ac" if encoding == "utf-8" else "\\u72ac") in out
    done = output_of("data", "check", tmp_path / "\u72ac")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"no such folder" in done.stderr


def test_evaluate_without_an_encoder(refused, monkeypatch, tmp_path):
    """A run whose training has not come so far says how to go on."""
    from ssah_tf.data import load_fashion, make_split
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.run import Run

    images = load_fashion()
    queries = tuple(name for name in images.ids if name.startswith("test/"))
    run = Run.create(tmp_path / "run")
    load_recipe("fashion").save(run.recipe_path)
    split = make_split(images, labelled_per_class=30, validation_per_class=5, query_ids=queries)
    split.save(run.split_path)
    assert refused("evaluate", "run").startswith("run/model.keras is missing: finish the training")
    run.model_path.write_bytes(b"rubbish")
    assert refused("evaluate", "run").startswith("run/model.keras: not a saved encoder")
    run.split_path.write_text(json.dumps({"seed": 0}))
    assert "not a split file" in refused("evaluate", "run")


def test_a_bug_of_ours_keeps_its_traceback(ssah, monkeypatch):
    def broken(*given):
        raise ZeroDivisionError

    monkeypatch.setattr("ssah_tf.training.photos.photos_of", broken)
    monkeypatch.setattr("ssah_tf.training.run.Run.open", lambda folder: FakeRun)
    with pytest.raises(ZeroDivisionError):
        ssah("evaluate", "run")


@pytest.mark.slow
def test_train_on_two_devices(tmp_path):
    """A short training under MirroredStrategy, from the command line to numbers and export."""
    small = {
        "train.steps_per_epoch": 2,
        "train.hnet_warmup": 1,
        "train.joint": 1,
        "train.batch": 20,
        "model.options.width": 8,
        "adversary.width": 8,
    }
    words = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "ssah_tf.cli", "train", "--devices", "2", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "mAP@all, tie-aware" in done.stdout
    report = json.loads((tmp_path / "runs" / "fashion" / "metrics.json").read_bytes())
    assert report["retrieval"]["queries"] == 1000
    assert report["codes"]["codes"] == 5000  # every image once, not once a device
    done = subprocess.run(
        [sys.executable, "-m", "ssah_tf.cli", "export", "runs/fashion"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "0 of 384,000 bits differ from the trained encoder on 6,000 images" in done.stdout


@pytest.mark.slow
def test_what_is_passed_over_is_told(ssah, photos, exported):
    """In a line on stderr, so that JSON on stdout stays whole; in JSON of `data check`, too."""
    (photos / "cat" / "x.jxl").write_bytes(b"")
    (photos / "dog" / "y.PSD").write_bytes(b"")
    (photos / "loose.png").write_bytes((photos / "cat" / "0.png").read_bytes())
    line = "2 image files passed over: 1 .jxl, 1 .psd"
    code, out, err = ssah("data", "check", "photos", "--no-near")
    assert (code, err) == (0, "")
    all_of_it = "3 image files passed over: 1 .jxl, 1 .psd, 1 beside class folders"
    assert f"warning: {all_of_it}\n" in out
    assert ssah("data", "check", "photos", "--no-near", "--strict")[0] == 3
    code, out, err = ssah("data", "check", "photos", "--no-near", "--json")
    passed = json.loads(out)["passed_over"]
    assert passed["files"] == {".jxl": 1, ".psd": 1, "beside class folders": 1}
    assert (passed["line"], err) == (all_of_it, all_of_it + "\n")

    code, out, err = ssah("encode", exported[1], "photos", "--output", "codes")
    assert (code, err.splitlines()[-1]) == (0, line)
    assert out.startswith("13 codes of 12 bits, model ")
    assert len(out.splitlines()) == 1
    assert line in ssah("encode", exported[1], "photos", "--output", "-")[2]
    code, out, err = ssah("encode", exported[1], "photos", "--output", "codes", "--check")
    counts = "0 new, 0 changed, 0 that could not be read before, 13 as they were; 14 read again"
    assert out.splitlines()[1] == counts
    assert line in ssah("index", exported[1], "photos")[2].splitlines()
    code, out, err = ssah("search", "index", "photos", "-k", "1", "--json")
    assert (code, len(json.loads(out)), err.splitlines()[-1]) == (0, 13, line)
    words = ("search", "index", "photos", "-k", "1", "--json", "--exclude", "dog")
    code, out, err = ssah(*words, "--exclude", "*.jxl", "--exclude", "photos/cat/[2-9].png")
    queries = [row["query"] for row in json.loads(out)]
    assert queries == ["photos/loose.png", "photos/cat/0.png", "photos/cat/10.png"]
    excluded = "5 image files passed over: 5 excluded; 1 folder passed over: 1 excluded"
    assert err.splitlines()[-1] == excluded


def test_labels_of_files_that_are_passed_over(ssah, photos, refused):
    (photos / "cat" / "x.jxl").write_bytes(b"")
    table = photos.parent / "l.csv"
    rows = [f"cat/{k}.png,cat\ndog/{k + 1}.png,dog\n" for k in range(0, 6, 2)]
    table.write_text("path,label\n" + "".join(rows) + "cat/x.jxl,cat\nnone.png,dog\n")
    code, out, _ = ssah("data", "check", "photos", "--labels", "l.csv", "--no-near")
    assert code == 0
    assert "\nlabels without a file: 1\n  none.png\n" in out
    assert "\nlabels of files that are passed over: 1\n  cat/x.jxl\n" in out
    assert "warning: 1 labels are of files that are passed over: 1 .jxl\n" in out
    table.write_text("path,label\ncat/x.jxl,cat\n")
    told = refused("data", "check", "photos", "--labels", "l.csv")
    assert told.endswith("; files that are passed over: 1 .jxl")
    assert refused("data", "check", "fashion", "--exclude", "x").endswith("leave --exclude out")


def test_excluded_in_training(ssah, photos, monkeypatch):
    """The recipe keeps the patterns, also as they are meant from here."""
    chosen = []

    def build_images(recipe):
        chosen.append(recipe)
        raise SsahError("enough")

    for module in ("start", "choose.begin"):
        monkeypatch.setattr(f"ssah_tf.training.{module}.build_images", build_images)
    for words in (["train"], ["train", "frozen"], ["baseline"]):
        ssah(*words, "--data", "photos", "--exclude", "raw", "--exclude", "photos/dog/")
    dog = str(photos / "dog")
    assert [recipe.data.exclude for recipe in chosen] == [["raw", "photos/dog/", dog]] * 3
    assert "has no effect with --resume" in ssah("train", "--resume", "x", "--exclude", "raw")[2]
