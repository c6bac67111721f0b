"""The start of a training: a run folder with its recipe and its split."""

from collections.abc import Callable
from pathlib import Path

from ssah_tf.data import Loaded
from ssah_tf.system.errors import RunError
from ssah_tf.training.auto import resolve
from ssah_tf.training.build import build_images, build_split
from ssah_tf.training.devices import is_chief
from ssah_tf.training.hash_layer.bits import NO_MORE, fitting_bits, tell_fewer
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.run import Run
from ssah_tf.training.self_training import check_teacher


def start(
    recipe: Recipe, folder: Path, check: Callable[[Recipe], None] | None = None
) -> tuple[Run, Loaded]:
    """Scan the images, resolve what the recipe leaves to them, draw the split, make the folder.

    A line says so where the images allow fewer bits than the recipe asks for.

    Of several workers the chief makes the folder; the others find it there when they train.

    Args:
        recipe: What to train.
        folder: The run folder to make.
        check: Called with the recipe when all its values are known, before the folder is made; for
            what only a later stage can say about it.

    Returns:
        The run, and its images with what was left out of them.

    Raises:
        SsahError: The images cannot be used, the split cannot be drawn, or the folder not be made.
    """
    loaded = build_images(recipe)
    if not is_chief():
        return Run(folder), loaded
    recipe = resolve(recipe, loaded.images)
    if check is not None:
        check(recipe)
    split = build_split(recipe, loaded.images)
    bits = fitting_bits(recipe, split, loaded.images)
    tell_fewer(bits, recipe.model.bits, NO_MORE)
    recipe = recipe.with_bits(bits)
    if recipe.pseudo_labels.self_train:
        check_teacher(Run.open(Path(recipe.pseudo_labels.self_train)), split)
    run = Run.create(folder)
    with run.alone():
        if run.recipe_path.exists():
            raise RunError(f"{folder} was just taken by another process: name another --output")
        split.save(run.split_path)
        recipe.save(run.recipe_path)  # last: a folder with a recipe can be resumed
    return run, loaded
