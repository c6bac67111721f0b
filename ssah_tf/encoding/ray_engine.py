"""Encoding on a Ray cluster: a task a shard, on whatever machine has a free CPU.

The shards come back to the machine where the command runs, which alone writes them: machines share
no folder for the output. They only have to see the photos, under the same paths.
"""

import importlib.metadata
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ssah_tf.data.threads import limit_decoders
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.records import Records
from ssah_tf.encoding.resume import Task
from ssah_tf.encoding.shards import encode_shard
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.system.text import first_line, lines_of, printable

#: How often a shard is tried again whose worker or machine died.
RETRIES = 3
#: Tasks in flight for each that can run: the next is there when one ends, and no more wait.
IN_FLIGHT = 2
#: Seconds that a machine may take to answer for the first time.
ANSWER = 120
#: What decides about bits: the same on all machines, or the command refuses to begin.
DECIDES = ("ssah-tf", "Pillow", "onnxruntime")
#: A cluster of this machine alone: bound to loopback, closed by a token that nobody else knows,
#: without a dashboard and without statistics that are sent home.
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: Object store of that cluster in bytes: what is in flight is small.
STORE = 128 << 20

#: Encoders of this worker process by model id and threads: loaded once.
_encoders: dict[tuple[str, int], Encoder] = {}


def on_ray(
    encoder: Encoder,
    work: Iterable[Task],
    address: str | None = None,
    cpus: int = 1,
) -> Generator[tuple[int, Records], None, None]:
    """Encode shards on a cluster.

    Args:
        encoder: Its file travels to the workers.
        work: What to encode, one task at least.
        address: Of a running cluster, `HOST:PORT`; by default one is begun on this machine, and
            ends with the work.
        cpus: Of a task: threads of ONNX Runtime, and threads that decode.

    Yields:
        Shards with their numbers, as they come.

    Raises:
        SsahError: Ray is not installed, there is no such cluster, or its machines cannot do the
            work: see `check_machines`.
        RunError: The worker of a shard died again and again, or all machines are gone.
    """
    ray = begin(address)
    # What Ray has to say about a machine that died belongs beside the progress, not into results.
    with redirect_stdout(sys.stderr), closing_ray(ray):
        work, folder = iter(work), os.getcwd()
        first = next(work)
        check_machines(ray, cpus, folder, first.paths)
        work = chain([first], work)
        content = ray.put(encoder.path.read_bytes())
        remote = ray.remote(num_cpus=cpus, max_retries=RETRIES)(run)
        running: dict[Any, Task] = {}
        while True:
            room = IN_FLIGHT * slots(ray, cpus) - len(running)
            for task in islice(work, max(0, room)):
                # In a list the content is fetched by who asks for it: once a process, not a task.
                ref = remote.remote([content], encoder.model_id, cpus, folder, task)
                running[ref] = task
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1, timeout=10)
            for ref in done:
                task = running.pop(ref)
                yield task.number, answer(ray, ref, task.paths)


@contextmanager
def closing_ray(ray: Any) -> Iterator[None]:
    """Leave the cluster at the end, or end it if it is ours."""
    try:
        yield
    finally:
        ray.shutdown()


def begin(address: str | None) -> Any:
    """Import Ray and connect to a cluster, or begin one. See `on_ray`."""
    os.environ |= QUIET  # Ray reads these when it is imported
    if address is None:
        os.environ |= {**PRIVATE, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError:
        raise SsahError("--engine ray needs Ray: pip install 'ssah-tf[scale]'") from None
    if address is not None:
        check_address(address)
    own = {"include_dashboard": False, "object_store_memory": STORE} if address is None else {}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # of many classes, its own and others
        reason = first_line(error)
        raise SsahError(f"Ray, {address or 'on this machine'}: {reason}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray's own prints a dump
    return ray


def check_address(address: str) -> None:
    """See that somebody listens there: Ray itself would try for ever.

    Raises:
        SsahError: Nobody, or it is no address.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise SsahError(
            f"--address {address}: no Ray cluster there ({error}); expected HOST:PORT as "
            "`ray start --head` prints it, on a machine of the cluster"
        ) from None


def machines(ray: Any, cpus: int) -> list[dict[str, Any]]:
    """The machines of the cluster that can run a task."""
    return [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= cpus]


def slots(ray: Any, cpus: int) -> int:
    """How many tasks the cluster can run at once, now.

    Raises:
        RunError: None: without this, work would wait for ever.
    """
    count = sum(int(node["Resources"]["CPU"] // cpus) for node in machines(ray, cpus))
    if not count:
        raise RunError(f"no machine of the cluster has {cpus} CPUs (any more)")
    return count


def check_machines(ray: Any, cpus: int, folder: str, paths: list[str]) -> None:
    """Ask each machine whether it can do the work, before any begins.

    Raises:
        SsahError: One has no ssah-tf or another version of what decides about bits, or cannot
            read a photo that this machine can read.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    slots(ray, cpus)
    some = [path for path in paths if readable_here(path)][:3]
    probe = ray.remote(num_cpus=0, max_retries=0)(this_machine)
    asked = {}
    for node in machines(ray, cpus):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[node["NodeManagerHostname"], node["NodeID"]] = probe.options(
            scheduling_strategy=there
        ).remote(folder, some)
    here = versions()
    for (host, _), ref in asked.items():
        try:
            found, unread = ray.get(ref, timeout=ANSWER)
        except Exception as error:
            reason = lines_of(error)[-1]
            raise SsahError(
                f"{host}: cannot run ssah-tf ({reason}); install 'ssah-tf[scale]' "
                f"{here['ssah-tf']} on every machine of the cluster"
            ) from None
        if found != here:
            raise SsahError(
                f"{host}: has {in_words(found)}, this machine {in_words(here)}: "
                "codes could differ; install the same versions"
            )
        if unread:
            raise cannot_read(host, unread[0])


def this_machine(folder: str, paths: list[str]) -> tuple[dict[str, str], list[str]]:
    """What a machine answers: its versions, and which of some files it cannot read."""
    return versions(), [path for path in paths if not readable_here(os.path.join(folder, path))]


def run(
    content: list[Any], model_id: str, threads: int, folder: str, task: Task
) -> tuple[str, Records]:
    """What a worker does: its machine's name, and the records of a shard."""
    key = model_id, threads
    if key not in _encoders:
        import ray

        limit_decoders(threads)
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "encoder.onnx"
            file.write_bytes(ray.get(content[0]))
            _encoders[key] = Encoder.load(file, threads=threads)
    return socket.gethostname(), encode_shard(_encoders[key], task.paths, folder, task.known)


def answer(ray: Any, ref: Any, paths: list[str]) -> Records:
    """The records of a task, with no file called bad that only its worker cannot read.

    Raises:
        SsahError: The worker cannot read what this machine can.
        RunError: Its worker died `RETRIES` + 1 times.
    """
    host: str
    records: Records
    try:
        host, records = ray.get(ref)
    except ray.exceptions.RayTaskError as error:  # raised by our own code
        cause = error.cause
        raise (cause if isinstance(cause, SsahError) else error) from None
    except ray.exceptions.RayError as error:
        reason = first_line(error)
        raise RunError(
            f"{printable(paths[0])} to {printable(paths[-1])}: the worker died "
            f"{RETRIES + 1} times ({reason}); the same command goes on"
        ) from None
    for path in records.not_opened:
        if readable_here(path):
            raise cannot_read(host, path)
    return records


def cannot_read(host: str, path: str) -> SsahError:
    """The photos are not where a machine looks for them."""
    return SsahError(
        f"{host}: cannot read {printable(path)}, which this machine can: photos must lie under the "
        "same path on every machine of the cluster (a network file system, for example)"
    )


def readable_here(path: str) -> bool:
    """Whether a file can be opened and read."""
    try:
        with open(path, "rb") as stream:
            stream.read(1)
    except OSError:
        return False
    return True


def versions() -> dict[str, str]:
    """Versions of what decides about bits."""
    return {name: importlib.metadata.version(name) for name in DECIDES}


def in_words(found: dict[str, str]) -> str:
    """Versions in words."""
    return ", ".join(f"{name} {version}" for name, version in found.items())
