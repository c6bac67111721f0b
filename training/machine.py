"""The machine in words, as results and what was timed on it name it."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, cores, and the GPU if there is one."""
    import tensorflow as tf

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"{os.cpu_count()} cores of {name}, {', '.join(gpus) or 'no GPU'}"
