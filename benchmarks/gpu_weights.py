"""How far the weights of two devices are apart after 20 training steps in float32.

    python benchmarks/gpu_weights.py FILE [--steps 20]
    python benchmarks/gpu_weights.py --see

Joint steps of the recipe `fashion` from the same seed, without TensorFloat-32. The first call
writes the weights to FILE, the next compares its own with them: the largest difference of a weight,
and that of the weights as a whole, relative to how far the training has moved them. `--see` says
which GPU TensorFlow sees.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--see", action="store_true")
    given = parser.parse_args()
    if given.see or given.file is None:
        print(see())
        return
    first, last = weights(given.steps)
    if not given.file.exists():
        np.savez(given.file, first=first, last=last)
        print(f"{len(last):,} weights, moved by {np.linalg.norm(last - first):.3g}")
        return
    with np.load(given.file) as other:
        if not np.array_equal(first, other["first"]):
            raise SystemExit(f"{given.file}: its training began elsewhere")
        apart, moved = last - other["last"], other["last"] - first
    print(
        f"largest difference {np.abs(apart).max():.1e}, "
        f"relative to the way {np.linalg.norm(apart) / np.linalg.norm(moved):.1e}"
    )


def see() -> str:
    """The GPU that TensorFlow sees, or that there is none."""
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(card).get("device_name") for card in cards]
    return f"GPU: {', '.join(map(str, names))}" if cards else f"TensorFlow {tf.__version__}, no GPU"


def weights(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """All weights that are trained, float32 `(n,)`: before and after some steps."""
    import keras
    import tensorflow as tf

    from ssah_tf.training.build import build_game, build_images, build_split
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.train import training_batches_of

    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.utils.set_random_seed(0)
    recipe = load_recipe("fashion")
    images = build_images(recipe).images
    split = build_split(recipe, images)
    game = build_game(recipe, images, split)
    game.begin("joint")
    call, batches = game.step_of_stage(), iter(training_batches_of(recipe, images, split, 0))

    def flat() -> np.ndarray:
        return np.concatenate([np.ravel(one.numpy()) for one in game.trainable_variables])

    first = flat()
    for _ in range(steps):
        call(batches)
    return first, flat()


if __name__ == "__main__":
    main()
