"""Keras optimizers with which a pretrained backbone learns more slowly than the layers on it."""

from collections.abc import Sequence

import keras


class Layerwise:
    """Adds a share of the learning rate for each variable to an optimizer of Keras.

    Args:
        shares: One factor a variable, in the order in which `build` is given them.
        **kwargs: Arguments of the optimizer.
    """

    def __init__(self, shares: Sequence[float] = (), **kwargs):
        super().__init__(**kwargs)
        self.shares = [float(share) for share in shares]

    def build(self, variables):
        """Create the state.

        Raises:
            ValueError: There are more or fewer shares than variables.
        """
        if len(self.shares) != len(variables):
            raise ValueError(
                f"shares: expected one a variable, {len(variables)}. Received: {len(self.shares)}"
            )
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable at its share of the rate."""
        share = self.shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)

    def get_config(self):
        """Arguments that make an equal optimizer."""
        return {**super().get_config(), "shares": self.shares}


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
