"""Keras optimizers with which a pretrained backbone learns more slowly than the layers on it."""

from collections.abc import Sequence

import keras


class Layerwise:
    """Adds a multiplier of the learning rate for each variable to an optimizer of Keras.

    Args:
        lr_multipliers: One a variable, in the order in which `build` is given them.
        **kwargs: Arguments of the optimizer.
    """

    def __init__(self, lr_multipliers: Sequence[float] = (), **kwargs):
        super().__init__(**kwargs)
        self.lr_multipliers = [float(multiplier) for multiplier in lr_multipliers]

    def build(self, variables):
        """Create the state.

        Raises:
            ValueError: There are more or fewer multipliers than variables.
        """
        if len(self.lr_multipliers) != len(variables):
            raise ValueError(
                f"lr_multipliers: expected one a variable, {len(variables)}. "
                f"Received: {len(self.lr_multipliers)}"
            )
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable at its own rate."""
        multiplier = self.lr_multipliers[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * multiplier)

    def get_config(self):
        """Arguments that make an equal optimizer."""
        return {**super().get_config(), "lr_multipliers": self.lr_multipliers}


@keras.saving.register_keras_serializable(package="ssah_tf")
class LayerwiseSGD(Layerwise, keras.optimizers.SGD):
    """Stochastic gradient descent."""


@keras.saving.register_keras_serializable(package="ssah_tf")
class LayerwiseAdam(Layerwise, keras.optimizers.Adam):
    """Adam."""


@keras.saving.register_keras_serializable(package="ssah_tf")
class LayerwiseAdamW(Layerwise, keras.optimizers.AdamW):
    """Adam with decoupled weight decay."""


LAYERWISE = {"sgd": LayerwiseSGD, "adam": LayerwiseAdam, "adamw": LayerwiseAdamW}
