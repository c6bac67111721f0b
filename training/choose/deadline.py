"""A training of the backbone that keeps to a time."""

import time
from collections.abc import Callable

import keras

from ssah_tf.system.errors import RunError
from ssah_tf.training.recipe_sections import Recipe
from ssah_tf.training.train import stages

#: Seconds that a training may take beyond its time, as a share of the budget.
OVERRUN = 0.04


class OutOfTime(RunError):
    """A training came to no encoder within its time."""


class Deadline(keras.callbacks.Callback):
    """Ends a training after the last whole epoch that leaves time to finish the encoder.

    The encoder is then selected from the epochs of the last stage that there were. After all other
    callbacks, since the validation counts.

    Args:
        left: Seconds that are left, now.
        recipe: The recipe, for the numbers of epochs.
        finish: Seconds that finishing the encoder takes.

    Attributes:
        cut: Number of epochs that were left out, 0 if none was.
    """

    def __init__(self, left: Callable[[], float], recipe: Recipe, finish: float):
        super().__init__()
        self.left = left
        self.recipe = recipe
        self.finish = finish
        self.cut = 0

    @property
    def epochs(self) -> int:
        """Epochs of the whole training."""
        return stages(self.recipe, self.model.has_adversary)[-1].last

    @property
    def last_stage(self) -> str:
        """The stage from which the encoder is selected."""
        return "joint" if self.recipe.train.joint else "hnet_warmup"

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look whether another epoch would be too much.

        Raises:
            OutOfTime: Before the last stage.
        """
        after = self.left() - (time.monotonic() - self.began) - self.finish
        if after >= 0 or epoch + 1 >= self.epochs:
            return
        if self.model.stage != self.last_stage:
            raise OutOfTime("its time was over before its last stage")
        self.cut = self.epochs - epoch - 1
        self.model.stop_training = True
