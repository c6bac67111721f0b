"""A batch that memory does not hold is a line with advice, not a crash."""

from collections.abc import Iterator
from contextlib import contextmanager

from ssah_tf.system.errors import RunError
from ssah_tf.system.machine import need_memory, out_of_memory
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.run import Run


def check_batch(recipe: Recipe) -> None:
    """Refuse a batch whose images alone are more than memory holds.

    Raises:
        RunError: They are.
    """
    count = recipe.train.batch * (1 + recipe.train.ratio)
    # As bytes, and in float32 as they are, deformed, of other brightness, and as gradients.
    size = count * recipe.data.image_size**2 * 3 * (1 + 4 * 4)
    need_memory(size, f"train.batch {recipe.train.batch}: lower it, e.g. --set train.batch=64")


@contextmanager
def enough_memory(run: Run) -> Iterator[None]:
    """Turn running out of memory in the block into a line.

    Raises:
        RunError: It did.
    """
    try:
        yield
    except Exception as error:  # Python, TensorFlow and its devices each raise their own
        if not out_of_memory(error):
            raise
        recipe = run.recipe
        raise RunError(
            f"not enough memory for train.batch {recipe.train.batch}, train.ratio "
            f"{recipe.train.ratio} at data.image_size {recipe.data.image_size}: begin a new run "
            "with less of one, for example --set train.batch=32"
        ) from None
