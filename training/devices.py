"""Which devices of which hosts a training runs on."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import tensorflow as tf

from ssah_tf.losses.global_batch import replica_id, sum_over_replicas
from ssah_tf.system.errors import RunError, SsahError


def make_strategy(devices: int | None = None) -> tf.distribute.Strategy:
    """The strategy for the devices that there are.

    The default one on one device, `MirroredStrategy` over several, and where `TF_CONFIG` names
    several workers `MultiWorkerMirroredStrategy`; then it must come before anything else of
    TensorFlow, and waits for the other workers.

    Args:
        devices: How many to use; all GPUs of this host by default, or the CPU where there is none.
            Without a GPU, more than one means logical devices on the CPU: for tests, not for
            speed.

    Raises:
        SsahError: There are fewer GPUs than asked for, TensorFlow is in use already, or `TF_CONFIG`
            makes no sense.
    """
    _, workers = place_among_workers()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and devices and devices > len(gpus):
        raise SsahError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
    if workers > 1 and not gpus and (devices or 1) > 1:
        raise SsahError(f"--devices {devices}: a worker of TF_CONFIG without a GPU is one CPU")
    return only_strategy(devices, workers)


@cache  # a second strategy in a process would hang in its collectives
def only_strategy(devices: int | None, workers: int) -> tf.distribute.Strategy:
    """See `make_strategy`."""
    gpus = tf.config.list_physical_devices("GPU")
    if workers > 1:
        tf.config.set_visible_devices(gpus[: devices or len(gpus)], "GPU")
        return tf.distribute.MultiWorkerMirroredStrategy()
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


def place_among_workers() -> tuple[int, int]:
    """Number of this worker, 0 for the chief, and how many there are; by `TF_CONFIG`.

    Raises:
        SsahError: `TF_CONFIG` makes no sense.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        tasks = [
            (kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, ())))
        ]
        if not cluster:
            return 0, 1
        return tasks.index((task["type"], int(task["index"]))), len(tasks)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise SsahError(
            f"TF_CONFIG: received {text!r}, expected JSON like "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None


def check_shares(strategy: tf.distribute.Strategy, batch: int) -> None:
    """Refuse a batch that the devices cannot share evenly.

    Raises:
        RunError: They cannot.
    """
    devices = strategy.num_replicas_in_sync
    if batch % devices:
        raise RunError(f"train.batch {batch} cannot be shared evenly by {devices} devices")


def is_chief() -> bool:
    """Whether this process validates and writes: the first worker of all, or the only one."""
    return place_among_workers()[0] == 0


def refuse_workers(command: str) -> None:
    """Stop what runs on one host alone.

    Raises:
        SsahError: `TF_CONFIG` names several workers.
    """
    if place_among_workers()[1] > 1:
        raise SsahError(f"{command} runs on one host: unset TF_CONFIG, which names several workers")


def total_of_workers(strategy: tf.distribute.Strategy, value: int) -> int:
    """Sum of a number over all replicas of all workers; none goes on before all have come here."""
    total = on_all(strategy, lambda: sum_over_replicas(tf.constant(value)))
    return int(strategy.experimental_local_results(total)[0])


def adopt_chiefs(strategy: tf.distribute.Strategy, variables: list) -> None:
    """Give variables that each worker has set by itself the values of the chief, bit for bit."""

    def of_chief() -> list[tf.Tensor]:
        mine = [tf.convert_to_tensor(v) for v in variables]
        return [sum_over_replicas(tf.where(replica_id() == 0, x, tf.zeros_like(x))) for x in mine]

    for variable, value in zip(variables, on_all(strategy, of_chief), strict=True):
        variable.assign(strategy.experimental_local_results(value)[0])


def on_all(strategy: tf.distribute.Strategy, function: Callable[[], Any]) -> Any:
    """What a function gives on each replica, run as a graph: collectives want one."""
    return tf.function(lambda: strategy.run(function), autograph=False)()


@contextmanager
def workers_stay(command: str) -> Iterator[None]:
    """Turn the loss of another worker, while the block runs, into a line.

    Args:
        command: What to type on all workers to go on.

    Raises:
        RunError: Another worker has stopped.
    """
    try:
        yield
    except tf.errors.UnavailableError:
        raise RunError(
            f"another worker has stopped, and says why; then start all of them with: {command}"
        ) from None
