"""Times the input pipeline alone and a training step of each control of a recipe.

    python benchmarks/training_speed.py [--recipe fashion] [--steps 60]

Prints milliseconds a step, the ratio to a supervised step on the same labelled batch, and one line
of JSON with the machine. Run it on an idle machine.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ssah_tf.training.ablation import machine
from ssah_tf.training.build import build_game, build_images, build_split
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.train import training_batches_of

ROWS = {
    "supervised only, no unlabelled": ("adversary.kind=none", "train.ratio=0"),
    "supervised only": ("adversary.kind=none",),
    "random deformation": ("adversary.kind=random",),
    "full method": (),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fashion")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()

    result = {"machine": machine(), "recipe": given.recipe, "steps": given.steps, "ms": {}}
    recipe = load_recipe(given.recipe)
    images = build_images(recipe).images
    split = build_split(recipe, images)
    for title, overrides in ROWS.items():
        recipe = load_recipe(given.recipe, overrides)
        batches = training_batches_of(recipe, images, split, 0).take(10 + given.steps)
        if title == "full method":
            began = time.perf_counter()
            for _ in batches:
                pass
            result["ms"]["input pipeline alone"] = time.perf_counter() - began
            result["ms"]["input pipeline alone"] *= 1e3 / (10 + given.steps)
        game = build_game(recipe, images, split)
        game.begin("joint")
        game.fit(batches.take(10))  # tracing
        began = time.perf_counter()
        game.fit(batches.skip(10))
        result["ms"][title] = (time.perf_counter() - began) * 1e3 / given.steps
    base = result["ms"]["supervised only, no unlabelled"]
    for title, value in result["ms"].items():
        print(f"{title:<32} {value:7.1f} ms   x {value / base:.2f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
