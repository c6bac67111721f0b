"""Times the input pipeline alone and a training step of each control of a recipe.

    python benchmarks/training_speed.py [--recipe fashion] [--set KEY=VALUE ...] [--steps 24]
                                        [--rounds 7]

Each round runs some steps of every control, in turns. Prints milliseconds a step, the median of the
rounds; the median and the quartiles of the paired ratios to a supervised step on the same labelled
batch; floating-point operations of a step in which A-Net is updated; and one line of JSON. Run it
on an idle machine, with a multiple of `adversary.update_every` as steps.
"""

import argparse
import json
import os
import time
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from ssah_tf.training.build import build_game, build_images, build_split
from ssah_tf.training.machine import machine
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.train import training_batches_of

ROWS = {
    "supervised only, no unlabelled": ("adversary.kind=none", "train.ratio=0"),
    "supervised only": ("adversary.kind=none",),
    "random deformation": ("adversary.kind=random",),
    "full method": (),
    "A-Net updated in every step": ("adversary.update_every=1",),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fashion")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    recipe = load_recipe(given.recipe, tuple(given.set))
    images = build_images(recipe).images
    split = build_split(recipe, images)
    work, runs = {}, {}
    for title, overrides in ROWS.items():
        recipe = load_recipe(given.recipe, (*given.set, *overrides))
        batches = training_batches_of(recipe, images, split, 0).take(given.steps)
        game = build_game(recipe, images, split)
        game.begin("joint")
        work[title] = gigaflop(game, recipe.train.batch, batches.element_spec)
        game.fit(batches)  # tracing
        runs[title] = partial(game.fit, batches)
    runs["input pipeline alone"] = partial(exhaust, batches)
    took: dict[str, list[float]] = {title: [] for title in runs}
    for _ in range(given.rounds):
        for title, run in runs.items():
            began = time.perf_counter()
            run()
            took[title].append((time.perf_counter() - began) * 1e3 / given.steps)
    first = next(iter(ROWS))
    result = {"machine": machine(), **vars(given), "ms": {}, "ratio": {}, "gflop": work}
    for title, times in took.items():
        ratios = np.array(times) / took[first]
        result["ms"][title] = round(float(np.median(times)), 1)
        result["ratio"][title] = [
            round(float(q), 2) for q in np.quantile(ratios, (0.25, 0.5, 0.75))
        ]
        low, middle, high = result["ratio"][title]
        done = (
            f"{work[title]:5.1f} GFLOP   x {work[title] / work[first]:.2f}" if title in work else ""
        )
        print(
            f"{title:<32} {result['ms'][title]:7.1f} ms   x {middle:.2f} ({low:.2f} to {high:.2f})"
            f"   {done}"
        )
    print(json.dumps(result))


def exhaust(batches: tf.data.Dataset) -> None:
    """Take all batches."""
    for _ in batches:
        pass


def gigaflop(game, batch: int, element_spec) -> float:
    """Floating-point operations of a training step, as TensorFlow counts them, in 10^9.

    Those of convolutions and products, forwards and backwards; element by element operations have
    no count there. What the step does not need is left out, as it is when the graph runs.
    """
    spec = {
        name: tf.TensorSpec((batch, *part.shape[1:]), part.dtype)
        for name, part in element_spec.items()
    }
    graph = tf.function(game.train_step).get_concrete_function(spec).graph
    needed, left = set(), [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while left:
        operation = left.pop()
        if operation.name not in needed:
            needed.add(operation.name)
            left += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    tree = [profiler.profile(graph, cmd="scope", options=options.with_empty_output().build())]
    count = 0
    while tree:
        node = tree.pop()
        tree += node.children
        count += node.float_ops if node.name in needed else 0
    return round(count / 1e9, 2)


if __name__ == "__main__":
    main()
