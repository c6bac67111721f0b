"""The self-paced policy: how hard the hard samples may be, step by step."""

import keras
import tensorflow as tf


class Pace(keras.layers.Layer):
    """Keeps the difficulty rho; its state is saved with the game.

    Args:
        start: rho of the first joint step.
        end: rho that is never exceeded.
    """

    def __init__(self, start: float = 0.1, end: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= start <= end <= 1:
            raise ValueError(f"rho must rise within [0, 1]. Received: start={start}, end={end}")
        self.start = start
        self.end = end
        self.rho = self.state("rho", start)
        self.done = self.state("done", 0)  # joint steps so far
        self.built = True

    def state(self, name: str, value: float):
        """Create a scalar that all replicas share."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation="only_first_replica",
        )

    def step(self, hard_loss: tf.Tensor) -> None:
        """Count a joint step and move rho.

        Args:
            hard_loss: H-Net's supervised loss on the hard samples of this step, over the global
                batch; the same scalar on every replica.
        """
        self.done.assign_add(1.0)
        self.update(hard_loss)

    def update(self, hard_loss: tf.Tensor) -> None:
        """Set rho for the step after `done` joint steps."""
        raise NotImplementedError

    def get_config(self):
        """Arguments that make an equal pace."""
        return {**super().get_config(), "start": self.start, "end": self.end}


@keras.saving.register_keras_serializable(package="ssah_tf")
class SchedulePace(Pace):
    """Rho rises linearly from `start` to `end` in `steps` joint steps, then stays.

    Args:
        steps: Joint steps of the rise; 0 keeps rho at `end`.
        **kwargs: Arguments of `Pace`.
    """

    def __init__(self, steps: int, **kwargs):
        super().__init__(**kwargs)
        if steps < 0:
            raise ValueError(f"steps must not be negative. Received: steps={steps}")
        self.steps = steps
        if not steps:
            self.rho.assign(self.end)

    def update(self, hard_loss):
        """See `Pace.update`."""
        progress = tf.minimum(tf.convert_to_tensor(self.done) / max(self.steps, 1), 1.0)
        self.rho.assign(self.start + (self.end - self.start) * progress)

    def get_config(self):
        """Arguments that make an equal pace."""
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="ssah_tf")
class CompetencePace(Pace):
    """Rho rises by `increment` when H-Net has mastered the present level.

    Mastered: the moving average of the loss on hard samples has come down to `mastery` of what it
    was when the level began, `wait` steps or more ago. Equation ours.

    Args:
        increment: Rise of rho.
        mastery: Share of the loss at the beginning of a level at which the next begins.
        wait: Joint steps that a level lasts at least.
        momentum: Of the moving average.
        **kwargs: Arguments of `Pace`.
    """

    def __init__(
        self,
        increment: float = 0.05,
        mastery: float = 0.98,
        wait: int = 20,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if wait < 1:
            raise ValueError(f"wait must be at least 1. Received: wait={wait}")
        self.increment, self.mastery = increment, mastery
        self.wait, self.momentum = wait, momentum
        self.average = self.state("average", 0)
        self.reference = self.state("reference", 0)
        self.age = self.state("age", 0)

    def update(self, hard_loss):
        """See `Pace.update`."""
        age = tf.convert_to_tensor(self.age)
        average = tf.convert_to_tensor(self.average)
        reference = tf.convert_to_tensor(self.reference)
        rho = tf.convert_to_tensor(self.rho)
        first = (age == 0) & (reference == 0)
        average = tf.where(
            first, hard_loss, self.momentum * average + (1 - self.momentum) * hard_loss
        )
        age += 1
        # The reference is taken once the average has seen the level for `wait` steps.
        reference = tf.where(age == self.wait, average, reference)
        mastered = (age > self.wait) & (average <= self.mastery * reference)
        self.rho.assign(tf.where(mastered, tf.minimum(rho + self.increment, self.end), rho))
        self.average.assign(average)
        self.reference.assign(reference)
        self.age.assign(tf.where(mastered, tf.zeros_like(age), age))

    def get_config(self):
        """Arguments that make an equal pace."""
        own = {
            "increment": self.increment,
            "mastery": self.mastery,
            "wait": self.wait,
            "momentum": self.momentum,
        }
        return {**super().get_config(), **own}
