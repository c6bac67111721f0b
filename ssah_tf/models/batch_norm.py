"""Batch normalisation over the global batch."""

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable(package="ssah_tf")
class BatchNorm(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that trains by TensorFlow's fused operation.

    The same function, weights and moving averages. Keras composes the normalisation of a dozen
    operations, each of which reads the activations once more. They are needed where the batch is
    spread over several devices, whose moments have to be put together: otherwise the devices drift
    apart, and a reloaded model predicts differently. On one device a fused operation does it all.

    Args:
        **kwargs: Arguments of `keras.layers.BatchNormalization`; the last axis is that of channels.

    Input shape: `(batch, height, width, channels)`; any other is left to Keras, as is float64.
    Output shape: the same.
    """

    def __init__(self, momentum: float = 0.9, synchronized: bool = True, **kwargs):
        super().__init__(momentum=momentum, synchronized=synchronized, **kwargs)

    def call(self, inputs, training=None, mask=None):
        """Normalise by the moments of the batch while training, else by the moving averages."""
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        fused = alone and len(inputs.shape) == 4 and self.variable_dtype == "float32"
        if not (training and self.trainable and fused):
            return super().call(inputs, training=training, mask=mask)
        x = tf.cast(inputs, tf.float32)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation gives the estimate of the population's variance; Keras averages the batch's.
        n = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
        variance *= tf.maximum(n - 1, 1) / n
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return tf.cast(y, self.compute_dtype)
