"""Which devices a training runs on."""

import tensorflow as tf

from ssah_tf.errors import SsahError


def make_strategy(devices: int | None = None) -> tf.distribute.Strategy:
    """`MirroredStrategy` over several devices, or the default strategy on one.

    Args:
        devices: How many to use; all GPUs by default, or the CPU where there is none. Without a
            GPU, more than one means logical devices on the CPU: for tests, not for speed.

    Raises:
        SsahError: There are fewer GPUs than asked for, or TensorFlow is in use already.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and devices and devices > len(gpus):
        raise SsahError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
    count = devices or len(gpus) or 1
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        split_cpu(count)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])


def split_cpu(count: int) -> None:
    """Cut the CPU into logical devices, unless it is cut so already.

    Raises:
        SsahError: TensorFlow is in use already.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        )
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise SsahError(f"{count} devices: TensorFlow has started with fewer") from None
