"""A model that is trained in stages, by one loop on any number of devices and hosts."""

import keras
import tensorflow as tf


class StagedModel(keras.Model):
    """Adds stages and a loop to a Keras model; a subclass names `STAGES` and writes `train_step`.

    The loop serves every strategy of `tf.distribute` with the callbacks of Keras, whose own `fit`
    fails under `MultiWorkerMirroredStrategy` (keras#20585). `train_step` returns values of the
    global batch, the same ones on every replica, so that nothing is left to be reduced.
    """

    #: The stages of a training, in order; the last one is the whole task.
    STAGES: tuple[str, ...] = ()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stage = self.STAGES[-1]
        self.traced = {}  # the steps of each stage as graphs

    def begin(self, stage: str) -> None:
        """Go to a stage, one of `STAGES`; the next `fit` trains it."""
        if stage not in self.STAGES:
            raise ValueError(f"stage must be one of {self.STAGES}. Received: stage={stage!r}")
        self.stage = stage

    def fit(
        self,
        batches,
        *,
        epochs=1,
        initial_epoch=0,
        first_batch=0,
        steps_per_epoch=None,
        callbacks=(),
    ):
        """Train the present stage.

        Args:
            batches: A `tf.data.Dataset` of global batches, which the strategy cuts for its
                replicas, or what the strategy has distributed already.
            epochs: Number of the epoch after the last.
            initial_epoch: Number of the first epoch.
            first_batch: Number of its first batch, for a training that was stopped within it; the
                logs of that epoch are means from there on.
            steps_per_epoch: Batches of an epoch; by default all that a dataset has.
            callbacks: Keras callbacks. Their logs are means since the beginning of the epoch, of
                each value over the steps that gave it.

        Returns:
            The history of Keras: for each value one number an epoch.
        """
        if isinstance(batches, tf.data.Dataset):
            steps_per_epoch = steps_per_epoch or int(batches.cardinality())
            batches = self.distribute_strategy.experimental_distribute_dataset(batches)
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_history=True, model=self, epochs=epochs, steps=steps_per_epoch
        )
        iterator = iter(batches)
        self.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            seen, logs = {}, {}
            callbacks.on_epoch_begin(epoch)
            first = first_batch if epoch == initial_epoch else 0
            for number in range(first, steps_per_epoch):
                callbacks.on_train_batch_begin(number)
                step = self.step_of_stage(epoch * steps_per_epoch + number)
                for name, value in step(iterator).items():
                    total, steps = seen.get(name, (0.0, 0))
                    seen[name] = total + float(value), steps + 1
                logs = {name: total / steps for name, (total, steps) in seen.items()}
                callbacks.on_train_batch_end(number, logs)
                if self.stop_training:
                    break
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)
        return self.history

    def step_options(self, number: int) -> dict:
        """Keyword arguments of `train_step` at a step of the present stage, counted from 0.

        Each combination is a graph of its own.
        """
        return {}

    def step_of_stage(self, number: int = 0):
        """A step of the present stage, traced once a kind: an iterator to values by name."""
        options = self.step_options(number)
        kind = (self.stage, *options.items())
        if kind not in self.traced:
            strategy = self.distribute_strategy

            @tf.function
            def step(iterator):
                values = strategy.run(self.train_step, args=(next(iterator),), kwargs=options)
                return {n: strategy.experimental_local_results(v)[0] for n, v in values.items()}

            self.traced[kind] = step
        return self.traced[kind]
