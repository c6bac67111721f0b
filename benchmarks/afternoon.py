"""The afternoon of docs/afternoon.md, with a person who knows the truth and is played by a script.

    python benchmarks/afternoon.py FOLDER --minutes 20 [--seconds 3] [--output runs/afternoon]

FOLDER holds `train/<class>/` and `test/<class>/`. The photos of `train` are copied to `photos/` in
the output folder, under names that say nothing. `ssah label` shows them; its API is asked as its
page asks it. Each photo gets its class, as if it took a person `--seconds`. After each screen comes
*Learn*. When the minutes are over, the other commands follow: train, export, index, search. At the
end the photos of `test` are searched among those of `photos/`, and mAP@all is taken by the truth. A
line of JSON for each round and for the end.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

from ssah_tf import Encoder
from ssah_tf.metrics import evaluate_retrieval

SSAH = (sys.executable, "-m", "ssah_tf.cli")
#: Photos that are searched from the command line.
SEARCHED = 3


def main() -> None:
    """Play it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=20, help="Of labelling.")
    parser.add_argument("--seconds", type=float, default=3, help="That a photo takes a person.")
    parser.add_argument("--output", type=Path, default=Path("runs/afternoon"))
    given = parser.parse_args()
    given.output.mkdir(parents=True)
    folder = given.folder.resolve()
    truth = copy_photos(folder / "train", given.output / "photos")
    os.chdir(given.output)
    times = {}
    began = time.monotonic()
    labelled = label(truth, int(60 * given.minutes / given.seconds))
    times["label"] = round(time.monotonic() - began)
    query = [str(path) for path in sorted((folder / "test").glob("*/*"))[:SEARCHED]]
    for words in (
        "train --data photos --labels labels.csv --features labelling --output run",
        "export run",
        "index run/export photos --output index --labels labels.csv",
        f"search index {' '.join(query)} -k 5 --html found.html",
    ):
        began = time.monotonic()
        subprocess.run([*SSAH, *words.split()], check=True)
        times[words.split()[0]] = round(time.monotonic() - began)
    found = judge(Path("run/export"), truth, folder / "test")
    print(json.dumps({"photos": len(truth), "labelled": labelled, "map": found, "seconds": times}))


def copy_photos(source: Path, target: Path) -> dict[str, str]:
    """Copy photos of class folders to one folder, in a random order; the class of each, by name."""
    files = sorted(path for path in source.glob("*/*") if path.is_file())
    random.Random(0).shuffle(files)
    target.mkdir()
    truth = {}
    for number, path in enumerate(files):
        name = f"IMG_{number:05d}{path.suffix.lower()}"
        shutil.copyfile(path, target / name)
        truth[name] = path.parent.name
    return truth


def label(truth: dict[str, str], count: int) -> int:
    """Label photos on `ssah label`, those that it shows; how many there were in the end."""
    words = [*SSAH, "label", "photos", "--labels", "labels.csv", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        try:
            lines = (re.search(r"http\S+", line) for line in service.stdout)
            page = next(found[0] for found in lines if found)
            done, state = 0, settled(page)
            while done < count:
                shown = [photo for group in state["groups"] for photo in group][: count - done]
                if not shown:
                    break
                for photo in shown:
                    name = truth[photo["path"]]
                    said = {"photos": [photo["id"]], "action": "label", "label": name}
                    ask(page, "labelling/said", said)
                done += len(shown)
                began = time.monotonic()
                ask(page, "labelling/learn", {"train": True})
                state = settled(page)
                line = {"labelled": state["labelled"], "classes": len(state["classes"])}
                line["learnt in"] = round(time.monotonic() - began, 1)
                print(json.dumps(line | {"measured": state["measured"][-1:]}), flush=True)
            return state["labelled"]
        finally:
            service.terminate()


def settled(page: str) -> dict:
    """The state when nothing is learnt any more."""
    while ask(page, "labelling/progress")["progress"]["what"]:
        time.sleep(1)
    return ask(page, "labelling")


def ask(page: str, path: str, body: dict | None = None) -> dict:
    """What the service answers."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(page + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def judge(export: Path, truth: dict[str, str], test: Path) -> float:
    """mAP@all of photos of class folders among those that were labelled or not, by the truth."""
    encoder = Encoder.load(export)
    photos, queries = (sorted(folder.rglob("*.*")) for folder in (Path("photos"), test))
    names = sorted(set(truth.values()))
    parts = []
    for files, of in (
        (queries, [path.parent.name for path in queries]),
        (photos, [truth[path.name] for path in photos]),
    ):
        codes = encoder.encode(files)
        parts += [codes, np.array([[name == known for name in names] for known in of], np.uint8)]
    return round(
        evaluate_retrieval(*parts, encoder.bits, cutoffs=(), n_bootstrap=0).map_tie_aware, 4
    )


if __name__ == "__main__":
    main()
