"""Pickles read as data: nothing of theirs is imported, called or run.

The networks that others published are pickles that carry source text and name the functions to rebuild them with. Here
every name must be on an exact list. A class becomes a `Record`, which keeps what the file says of an object and does
nothing; a function becomes one of ours that makes a record of a tensor or a number. Before that the whole file is
walked through without building anything, so that what it asks for is known to be bounded: opcodes, depth, memory.
"""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from models.pickle_walk import Limits, RefusedError, refuse, walk
from models.weights import WeightsError

DIMENSIONS = 8  # of a tensor, at most


class Record(dict[Any, Any]):
    """An object of a file of which nothing was made: the name of its class, arguments, items and state as they stand.

    `tensor`: the numbers, where it is a tensor or a storage (then flat).
    """

    name = ""

    def __new__(cls, *arguments: Any) -> Record:
        made = super().__new__(cls)
        made.arguments, made.state, made.tensor = arguments, None, None
        return made

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.arguments: tuple[Any, ...]
        self.state: Any
        self.tensor: Tensor | None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(Record):
    """An array of NumPy, of which no file read here has a use: only checked."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        _check_size(shape)
        if math.prod(shape) * _number_type(dtype).itemsize != len(data):
            refuse("holds an array that is not as long as it says")


def _check_size(size: Any) -> None:
    """Refuse what is not the size of an array: multiplying large numbers takes long."""
    if len(size) > DIMENSIONS or any(type(one) is not int or not 0 <= one < 2**63 for one in size):
        refuse("holds an array whose size is none")


_CLASSES = {
    f"{module}.{name}": type(name, (Record,), {"name": f"{module}.{name}"})
    for module, name in (
        ("builtins", "dict"),
        ("builtins", "set"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("dnnlib.util", "EasyDict"),
        ("numpy", "ndarray"),
        ("omegaconf.base", "ContainerMetadata"),
        ("omegaconf.base", "Metadata"),
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.listconfig", "ListConfig"),
        ("omegaconf.nodes", "AnyNode"),
        ("typing", "Any"),
    )
}
_STORAGES = {"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8}
_STORAGES |= {"IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1}  # bytes each
_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}  # of NumPy


class _Function:
    """Something that a file may call. A file that wants to change it gets an error."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, _: Any) -> None:
        refuse("wants to change a function")


class _Unpickler(pickle.Unpickler):
    """Builds records. To be used on what `walk` has seen."""

    def __init__(self, stream: BinaryIO, size: int, limits: Limits) -> None:
        super().__init__(stream)
        self._left, self._limits = size, limits  # bytes of storages that may still come: a file has each once
        allowed: dict[str, Callable[..., Any]] = {
            "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
            "torch.storage._load_from_bytes": self._storage,
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_parameter": _parameter,
            "numpy.dtype": _dtype,
            "numpy.core.multiarray._reconstruct": _array,
            "numpy._core.multiarray._reconstruct": _array,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy._core.multiarray.scalar": _scalar,
        }
        self._functions = {name: _Function(call) for name, call in allowed.items()}

    def find_class(self, module: str, name: str, /) -> Any:
        found = self._functions.get(f"{module}.{name}") or _CLASSES.get(f"{module}.{name}")
        return found or refuse(f"asks for {_shown(module)}.{_shown(name)}, which no published network needs")

    def _storage(self, data: bytes) -> Record:
        """The numbers of a storage as PyTorch saved it: [count]."""
        if type(data) is not bytes:
            refuse("holds a storage that is none")
        self._left -= len(data)
        if len(data) > self._limits.tensor or self._left < 0:
            refuse(f"holds more than {self._limits.tensor:,} bytes in one tensor, or one storage many times")
        _check_storage(data, self._limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own classes of storages are going out of use
            stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            if not isinstance(stored, torch.storage.TypedStorage):
                refuse("holds a storage that is none")
            flat = torch.empty(0, dtype=stored.dtype).set_(stored.untyped())  # type: ignore[no-untyped-call]
        return _made("torch.Storage", flat)


class _HeaderUnpickler(pickle.Unpickler):
    """For what PyTorch writes before the numbers of a storage: finds nothing but how wide they are."""

    def __init__(self, stream: BinaryIO, room: int) -> None:
        super().__init__(stream)
        self._room = room

    def find_class(self, module: str, name: str, /) -> int:
        if module != "torch" or name not in _STORAGES:
            refuse(f"hides {_shown(module)}.{_shown(name)} in a tensor")
        return _STORAGES[name]

    def persistent_load(self, told: Any, /) -> str:
        kind, width, _, _, count, view = told
        if kind != "storage" or type(width) is not int or type(count) is not int or view is not None:
            refuse("holds a storage that is none")
        if not 0 <= count * width <= self._room:
            refuse(f"claims a tensor of {count:,} numbers, more than it has")
        return "storage"


def _check_storage(data: bytes, limits: Limits) -> None:
    """Refuse what is not one plain storage with as many numbers as it says, before PyTorch opens it."""
    stream = io.BytesIO(data)
    parts = []
    for _ in range(5):  # a magic number, a version, facts about the machine, the storage, a list with its name
        at = stream.tell()
        walk(stream, len(data), limits, storages=True)
        stream.seek(at)
        parts.append(_HeaderUnpickler(stream, len(data) - at).load())
    if parts[3] != "storage" or type(parts[4]) is not list or len(parts[4]) != 1:
        refuse("holds a storage that is none")


def _persistent(meta: Any) -> Record:
    """An object whose class came as source text, which is left unread."""
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        refuse("holds an object whose class it does not name")
    made = Record()
    made.name, made.state = meta["class_name"], meta.get("state")
    return made


def _made(name: str, tensor: Tensor) -> Record:
    made = Record()
    made.name, made.tensor = name, tensor
    return made


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Record:
    """A tensor of a storage's numbers, each used once at most."""
    flat = storage.tensor if isinstance(storage, Record) and storage.name == "torch.Storage" else None
    numbers = (offset, *size, *stride)
    if flat is None or len(size) != len(stride) or any(type(one) is not int or one < 0 for one in numbers):
        refuse("holds a tensor that is none")
    _check_size(size)
    last = offset + sum((many - 1) * step for many, step in zip(size, stride, strict=True))
    if math.prod(size) > len(flat) or (math.prod(size) and last >= len(flat)):
        refuse(f"claims a tensor of size {_shown(str(list(size)))}, which is more than it has")
    return _made("torch.Tensor", flat.as_strided(size, stride, offset))


def _parameter(tensor: Any, *_: Any) -> Record:
    if not isinstance(tensor, Record) or tensor.name != "torch.Tensor":
        refuse("holds a parameter that is no tensor")
    return tensor


def _dtype(*arguments: Any) -> Record:
    kind = arguments[0] if arguments and type(arguments[0]) is str else "something"
    if kind not in _NUMBERS:
        refuse(f"holds {_shown(kind)} of NumPy, which are no plain numbers")
    made = Record(*arguments)
    made.name = "numpy.dtype"
    return made


def _number_type(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, Record) or dtype.name != "numpy.dtype":
        refuse("holds numbers of NumPy without their type")
    order = dtype.state[1] if dtype.state else "="
    found: np.dtype[Any] = np.dtype(dtype.arguments[0]).newbyteorder(order if order in ("<", ">") else "=")
    return found


def _scalar(dtype: Any, data: Any) -> int | float | bool:
    value: int | float | bool = np.frombuffer(data, _number_type(dtype), 1)[0].item()
    return value


def _array(*_: Any) -> Record:
    return _Array()


def _shown(text: str) -> str:
    """A piece of a stranger's text that cannot disturb a terminal."""
    return ascii(text[:80])[1:-1]


def read(path: Path, limits: Limits | None = None) -> Any:
    """What a pickle holds: plain Python values and records.

    Raises WeightsError for what is no pickle, is broken, or asks for anything that no published network needs.
    """
    limits = limits or Limits()
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            if size > limits.file:
                refuse(f"has {size:,} bytes, more than {limits.file:,}")
            stream.seek(0)
            if stream.read(1) != pickle.PROTO:
                refuse("is no pickle of this century")
            stream.seek(0)
            walk(stream, size, limits)
            stream.seek(0)
            return _Unpickler(stream, size, limits).load()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except RefusedError as error:
        raise WeightsError(f"{path} {error}; {REMEDY}") from error
    except Exception as error:  # a broken pickle fails in any way it likes
        raise WeightsError(f"{path} is broken ({_shown(str(error)) or type(error).__name__}); {REMEDY}") from error


REMEDY = (
    "nothing of it was run: give safetensors with the published names, or a .pkl as the published ALIS and "
    "StyleGAN2-ADA write it"
)
