"""The global batch as one replica sees it: gathered tensors and random numbers.

The game is defined over the global batch, so that the number of devices changes nothing but the
speed. Every function here is the identity on one device.
"""

import tensorflow as tf


def replica_count() -> int:
    """Number of replicas that train in sync."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_id() -> tf.Tensor:
    """Number of this replica, int32 scalar; 0 outside of a strategy."""
    context = tf.distribute.get_replica_context()
    number = 0 if context is None else context.replica_id_in_sync_group
    return tf.convert_to_tensor(0 if number is None else number, tf.int32)


def gather_batch(local: tf.Tensor) -> tf.Tensor:
    """Rows of all replicas in order, `(batch, ...) -> (replicas * batch, ...)`.

    Differentiable: the gradient of a local row collects what all replicas make of it. A sum of
    tensors in which each replica fills its own rows, since `all_gather` fails under
    `MultiWorkerMirroredStrategy` in TensorFlow 2.21.
    """
    replicas = replica_count()
    if replicas == 1:
        return local
    mine = tf.one_hot(replica_id(), replicas, dtype=local.dtype)  # (R,)
    slots = tf.tensordot(mine, local, axes=0)  # (R, b, ...)
    return tf.reshape(sum_over_replicas(slots), [-1, *local.shape[1:]])


def sum_over_replicas(local: tf.Tensor) -> tf.Tensor:
    """Sum of a tensor over all replicas; its gradient is the sum of theirs."""
    if replica_count() == 1:
        return local
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, local)


def random_uniform(seed: tf.Tensor, local_shape: tuple, minval=0.0, maxval=1.0, dtype=tf.float32):
    """This replica's rows of a random tensor of the global batch.

    Every replica draws the whole tensor from the same stateless seed and keeps its own rows, so
    that replicas differ from each other and one device draws the same numbers as many.

    Args:
        seed: int32 `(2,)`.
        local_shape: Shape on this replica; the first dimension is the local batch.
        minval: Lower bound, included.
        maxval: Upper bound, excluded.
        dtype: Of the result.

    Returns:
        Tensor of shape `local_shape`.
    """
    rows = local_shape[0]
    shape = [rows * replica_count(), *local_shape[1:]]
    everything = tf.random.stateless_uniform(shape, seed, minval, maxval, dtype)
    if replica_count() == 1:
        return everything
    first = replica_id() * rows
    return everything[first : first + rows]


def random_gumbel(seed: tf.Tensor, local_shape: tuple, dtype=tf.float32) -> tf.Tensor:
    """This replica's rows of standard Gumbel noise over the global batch."""
    uniform = random_uniform(seed, local_shape, minval=1e-7, maxval=1.0, dtype=dtype)
    return -tf.math.log(-tf.math.log(uniform))
