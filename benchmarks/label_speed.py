"""Times *Learn* of `ssah label`: from labels to a measured hash layer and the next photos.

    python benchmarks/label_speed.py [--photos 10000] [--classes 10] [--labels 20] [--rounds 3]

Features are made up: 1,280 numbers a photo, as EfficientNet-Lite0 has, around a centre for each
class. So it times what comes after the features, which are kept. The first round holds what
TensorFlow does once in a process. A line of JSON for each round.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.label_round import Task
from ssah_tf.training.labelling.learn import Rounds

#: Numbers of a photo.
WIDTH = 1280


def main() -> None:
    """Make photos up, and learn from labels of them, round after round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--labels", type=int, default=20, help="Of each class.")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    which = np.arange(given.photos) % given.classes
    centres = rng.gamma(0.5, 1, (given.classes, WIDTH))
    noise = rng.normal(0, 1.2, (given.photos, WIDTH))
    features = np.maximum(0, centres[which] + noise).astype(np.float32)
    images = ImageSet(
        "made up",
        tuple(f"{i}.jpg" for i in range(given.photos)),
        np.zeros((given.photos, 0), np.uint8),
        (),
        tuple(f"{i * 7919:064x}" for i in range(given.photos)),
        pixels=np.zeros((given.photos, 8, 8, 3), np.uint8),
    )
    parts: dict[str, float] = {}

    @contextmanager
    def bars(what: str) -> Iterator[Callable[[int, int], None]]:
        began = time.monotonic()
        yield lambda done, total: None
        parts[what] = round(time.monotonic() - began, 1)

    rounds = Rounds(images, lambda *_: features, ("data.image_size=224",), bars)
    known = {p: (f"class {which[p]}",) for p in range(given.classes * given.labels)}
    for number in range(given.rounds):
        parts.clear()
        began, worked = time.monotonic(), time.process_time()
        rounds.do(Task(known, (), True), 48)
        seconds, worked = time.monotonic() - began, time.process_time() - worked
        line = {"round": number + 1, "seconds": round(seconds, 1), "cpu": round(worked, 1)}
        print(json.dumps({**vars(given), **line, "parts": parts}), flush=True)


if __name__ == "__main__":
    main()
