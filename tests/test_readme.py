"""What the README tells a reader to type does work, in the order in which it stands there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssah_tf.cli import app as cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Makes a training of the README a matter of seconds.
SMALL = (
    "--set train.steps_per_epoch=2 --set train.hnet_warmup=1 --set train.joint=1 "
    "--set train.batch=8 --set adversary.width=8"
)


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands(text=README):
    lines = "".join(blocks("bash", text)).splitlines()
    return [line.split("  #")[0].split("   #")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The folder and the table that the README speaks of: 30 photos, 24 of them with a label."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for number in range(30):
        path = folder / "photos" / ("june", "may")[number % 2] / f"IMG_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(path)
        label = ("beach", "dog", "beach;dog")[number % 3] if number < 24 else ""
        rows.append(f"{path.relative_to(folder / 'photos')},{label}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_make_verbs_exist():
    makefile = (ROOT / "Makefile").read_text()
    verbs = re.findall(r"`?make ([a-z-]+)", README)
    assert {"train", "test", "help", "ablation", "bench"} <= set(verbs)
    for verb in verbs:
        assert re.search(rf"^{verb}:.*## ", makefile, flags=re.M), verb
    assert {c.split()[1] for c in commands() if c.startswith("make ")} == {"train", "test"}


def test_ssah_commands_and_the_python_example_run(photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    page = search_page()
    run = [c for c in commands() if c.startswith("ssah ") and c not in page]
    assert len(run) == 14
    for command in run:
        words = shlex.split(command)
        training = words[1] == "train"
        if training and "--resume" not in words:
            words += shlex.split(SMALL)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        assert caught.value.code == 0, f"{command}\n{err}"
        if training or words[1] == "evaluate":
            assert "mAP@all, tie-aware" in out
            assert "Protocol: photos, as-labelled:" in out
            assert "report: " in out
        if words[1] == "data":
            assert "photos: 30 images, 24 with a label" in out
    assert (photos / "runs" / "folder" / "report.html").is_file()
    assert (photos / "comparison.html").is_file()
    assert len(np.load(photos / "codes.npy")) == 30
    assert (photos / "found.html").read_text().count("<figure") == 21
    (code,) = blocks("python")
    example = f"{code}\nassert codes.shape == (1, 6) and codes.dtype.name == 'uint8'"
    subprocess.run([sys.executable, "-c", example], cwd=photos, check=True, capture_output=True)


def search_page():
    """The commands that end with the search page."""
    (block,) = [block for block in blocks("bash") if "ssah serve" in block]
    return block.splitlines()


@pytest.mark.slow
def test_search_page_of_the_built_in_images(tmp_path, monkeypatch):
    """From nothing to the service, which finds images that it has never seen."""
    monkeypatch.chdir(tmp_path)
    *make, serve = search_page()
    assert len(make) == 4
    for command in make:
        words = [sys.executable, "-m", "ssah_tf.cli", *shlex.split(command)[1:]]
        words += shlex.split(SMALL) if "train" in words else []
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    words = [sys.executable, "-m", "ssah_tf.cli", *shlex.split(serve)[1:], "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout.readline().startswith("5,000 photos, model ")
        url = service.stdout.readline().split("page: ")[1].split()[0]
        query = next((tmp_path / "photos" / "test" / "bag").iterdir()).read_bytes()
        with urllib.request.urlopen(f"{url}search?k=20&filter=label=bag", query) as answer:
            found = json.load(answer)
        assert len(found["neighbours"]) == 20
        assert {tuple(near["labels"]) for near in found["neighbours"]} == {("bag",)}
        service.terminate()
    assert service.returncode == 0


@pytest.mark.slow
def test_page_deploy(photos, monkeypatch):
    """Its commands of `ssah` and its Python examples, on a run of the README's photos."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    monkeypatch.chdir(photos)
    shutil.rmtree(photos / "runs", ignore_errors=True)
    train = f"ssah train --data photos/ --labels labels.csv {SMALL} --output runs/folder"
    run = [train, *(c for c in commands(text) if c.startswith("ssah "))]
    assert len(run) == 5
    for command in run:
        words = [sys.executable, "-m", "ssah_tf.cli", *shlex.split(command)[1:]]
        if "--int8" in words:
            words.append("--force")  # after two steps of training any mAP is luck
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert len(done.stdout.split()[0]) == 12
    assert len(blocks("python", text)) == 2
    search = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    # Those with the address of a database are tested beside a server, in tests/search.
    for command in [c for c in commands(search) if c.startswith("ssah ") and "://" not in c]:
        words = [sys.executable, "-m", "ssah_tf.cli", *shlex.split(command)[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    text += search
    for example in [block for block in blocks("python", text) if "://" not in block]:
        subprocess.run([sys.executable, "-c", example], check=True, capture_output=True)


def test_files_and_links_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"^(\w+/\S*)", "".join(blocks("")), flags=re.M):
        if not path.startswith("2019/"):  # photos of the example
            assert (ROOT / path).exists(), path


def test_numbers_are_those_of_the_stored_rows():
    stored = json.loads((ROOT / "training" / "reference" / "fashion.json").read_text())
    for row in stored["rows"]:
        assert f"| {row['title']} | {row['mean']:.3f} ± {row['std']:.3f} |" in README
    full = stored["rows"][-1]
    assert full["title"] == "full method"
    assert f"{full['map'][0]:.3f}" in README
    assert stored["date"] in README
