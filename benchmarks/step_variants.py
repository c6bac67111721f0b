"""Times a joint step of the full method in other forms: several steps a call, XLA, bfloat16.

    python benchmarks/step_variants.py [--recipe fashion] [--rounds 5]

Prints seconds to trace and milliseconds a step, the least of some rounds of ten steps in turns, and
one line of JSON with the machine. Run it on an idle machine; XLA alone compiles for a minute.
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

#: Steps of a round, and of a call of the form that makes several.
STEPS = 10


def one_a_call(game):
    """The loop of a training."""
    return [game.step_of_stage()] * STEPS


def many_a_call(game):
    """What `steps_per_execution` of Keras would do."""

    @tf.function
    def steps(iterator):
        values = game.train_step(next(iterator))
        for _ in tf.range(STEPS - 1):
            values = game.train_step(next(iterator))
        return values

    return [steps]


def compiled(game):
    """What `jit_compile` of Keras would do."""
    step = tf.function(game.train_step, jit_compile=True)
    return [tf.function(lambda iterator: step(next(iterator)))] * STEPS


FORMS = {
    "as it is": (one_a_call, ()),
    f"{STEPS} steps a call": (many_a_call, ()),
    "XLA": (compiled, ()),
    "bfloat16": (one_a_call, ("train.precision=bfloat16",)),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fashion")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()

    recipe = load_recipe(given.recipe)
    images = build_images(recipe).images
    split = build_split(recipe, images)

    def seconds(calls, iterator):
        began = time.perf_counter()
        for call in calls:
            float(call(iterator)["loss"])
        return time.perf_counter() - began

    forms, result = {}, {"machine": machine(), "recipe": given.recipe, "trace": {}, "ms": {}}
    for title, (form, overrides) in FORMS.items():
        recipe = load_recipe(given.recipe, overrides)
        game = build_game(recipe, images, split)
        game.begin("joint")
        forms[title] = form(game), iter(training_batches_of(recipe, images, split, 0))
        result["trace"][title] = round(seconds(*forms[title]), 1)
    rounds = [{title: seconds(*form) for title, form in forms.items()} for _ in range(given.rounds)]
    for title in forms:
        result["ms"][title] = round(min(found[title] for found in rounds) * 1e3 / STEPS, 1)
        print(
            f"{title:<16} {result['ms'][title]:7.1f} ms   traced in {result['trace'][title]:5.1f} s"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
