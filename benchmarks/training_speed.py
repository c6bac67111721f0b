"""Times the input pipeline alone and a training step of each control of a recipe.

    python benchmarks/training_speed.py [--recipe fashion] [--set KEY=VALUE ...] [--steps 60]

Prints milliseconds and floating-point operations a step, the ratios to a supervised step on the
same labelled batch, and one line of JSON with the machine. Run it on an idle machine.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fashion")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()

    result = {"machine": machine(), "recipe": given.recipe, "set": given.set}
    result["steps"] = given.steps
    result |= {"ms": {}, "gflop": {}}
    recipe = load_recipe(given.recipe, tuple(given.set))
    images = build_images(recipe).images
    split = build_split(recipe, images)
    for title, overrides in ROWS.items():
        recipe = load_recipe(given.recipe, (*given.set, *overrides))
        batches = training_batches_of(recipe, images, split, 0).take(10 + given.steps)
        if title == "full method":
            began = time.perf_counter()
            for _ in batches:
                pass
            result["ms"]["input pipeline alone"] = time.perf_counter() - began
            result["ms"]["input pipeline alone"] *= 1e3 / (10 + given.steps)
        game = build_game(recipe, images, split)
        game.begin("joint")
        result["gflop"][title] = gigaflop(game, recipe.train.batch, batches.element_spec)
        game.fit(batches.take(10))  # tracing
        began = time.perf_counter()
        game.fit(batches.skip(10))
        result["ms"][title] = (time.perf_counter() - began) * 1e3 / given.steps
    first, work = (result[key]["supervised only, no unlabelled"] for key in ("ms", "gflop"))
    for title, value in result["ms"].items():
        done = result["gflop"].get(title, 0.0)
        print(
            f"{title:<32} {value:7.1f} ms   x {value / first:.2f}"
            f"   {done:5.1f} GFLOP   x {done / work:.2f}"
        )
    print(json.dumps(result))


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
