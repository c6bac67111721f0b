"""Arrays out of a checkpoint file of PyTorch, without PyTorch and without running what it says."""

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line

#: Storage classes of PyTorch and what they hold, little-endian.
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
#: First object of a file of PyTorch before 1.6; newer ones are ZIP archives.
MAGIC = 0x1950A86A20F9469CFC6C


@dataclass
class Storage:
    """A flat array of the file."""

    kind: str
    values: np.ndarray | None = None


@dataclass
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self) -> np.ndarray:
        """The view as an array of its own.

        Raises:
            ValueError: It reaches beyond its storage.
        """
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor without values")
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((*self.shape, 1)) < 1 or min((*self.strides, self.offset)) < 0:
            raise ValueError("a tensor of impossible shape")
        if self.offset + reach >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [step * values.itemsize for step in self.strides]
        return as_strided(values[self.offset :], self.shape, strides, writeable=False).copy()


class Restricted(pickle.Unpickler):
    """Builds dictionaries of tensors and nothing else: any other class or function is refused."""

    def __init__(self, stream):
        super().__init__(stream)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module, name):
        """The few names that a dictionary of tensors consists of."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(
                storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides))
            )
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid):
        """A storage by its key; its values come later."""
        what, kind, key = pid[:3]
        if what != "storage":
            raise pickle.UnpicklingError(f"{what!r} is not allowed")
        return self.storages.setdefault(str(key), Storage(kind))


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Read a state dictionary, in the form of PyTorch before 1.6 or after.

    Args:
        path: File that `torch.save(model.state_dict(), path)` wrote.

    Returns:
        Name -> array.

    Raises:
        SsahError: No such file, or something else than a dictionary of tensors.
    """
    try:
        tensors = read_archive(path) if zipfile.is_zipfile(path) else read_legacy(path)
        return {str(name): tensor.array() for name, tensor in tensors.items()}
    except FileNotFoundError:
        raise SsahError(f"{path}: no such file") from None
    # A damaged pickle can raise almost anything.
    except Exception as error:
        reason = first_line(error)
        raise SsahError(f"{path}: not a dictionary of tensors of PyTorch ({reason})") from None


def read_legacy(path) -> dict:
    """Four pickles, then the storages one after the other."""
    with open(path, "rb") as stream:
        if Restricted(stream).load() != MAGIC:
            raise ValueError("no such beginning")
        Restricted(stream).load()  # version of the protocol
        Restricted(stream).load()  # of the system
        unpickler = Restricted(stream)
        tensors = unpickler.load()
        for key in Restricted(stream).load():
            storage = unpickler.storages[str(key)]
            (count,) = np.frombuffer(stream.read(8), "<i8")
            size = int(count) * np.dtype(storage.kind).itemsize
            storage.values = np.frombuffer(stream.read(size), storage.kind)
    return tensors


def read_archive(path) -> dict:
    """A ZIP archive of a pickle and one file a storage."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = name.removesuffix("data.pkl")
        unpickler = Restricted(io.BytesIO(archive.read(name)))
        tensors = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.values = np.frombuffer(archive.read(f"{folder}data/{key}"), storage.kind)
    return tensors
