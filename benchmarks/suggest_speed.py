"""Times the choice of photos to label, without the features, and its memory.

    python benchmarks/suggest_speed.py [--photos 100000] [--count 100] [--labels 500]

Features are made up: 1,280 numbers a photo, as EfficientNet-Lite0 has, around centres of 200
classes. First without a label, then with some. A line of JSON for each: seconds, and the peak
memory of the process, features and interpreter included.
"""

import argparse
import json
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ssah_tf.training.labelling.suggest import suggest

#: Numbers of a photo, and kinds of photos.
WIDTH, CLASSES = 1280, 200


def main() -> None:
    """Make features up, and choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--labels", type=int, default=500, help="In all, of random photos.")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    which = rng.integers(CLASSES, size=given.photos)
    centres = rng.gamma(0.5, 1, (CLASSES, WIDTH)).astype(np.float32)
    features = rng.standard_normal((given.photos, WIDTH), np.float32)
    for rows in np.array_split(np.arange(given.photos), 1 + given.photos // 1000):
        features[rows] = np.maximum(0, centres[which[rows]] + features[rows])
    digests = [f"{number * 7919:064x}" for number in range(given.photos)]
    for count in (0, given.labels):
        labels = np.zeros((given.photos, CLASSES), np.uint8)
        known = rng.choice(given.photos, count, replace=False)
        labels[known, which[known]] = 1
        began = time.monotonic()
        found = suggest(features, labels, digests, given.count)
        line = {
            "photos": given.photos,
            "labels": count,
            "chosen": len(found),
            "seconds": round(time.monotonic() - began, 1),
            "peak, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
