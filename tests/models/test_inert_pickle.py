"""A hostile pickle runs nothing, takes no memory to speak of, and gets one clear error."""

from __future__ import annotations

import io
import pickle
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published_pickle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import inert_pickle
from models.inert_pickle import Record
from models.pickle_walk import Limits
from models.weights import WeightsError

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # as the published files hold them
MEBIBYTE = 2**20


class Gadget:
    """Calls anything with these arguments where it is unpickled in the usual way."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = (call, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _touching(marker: Path) -> Gadget:
    import os

    return Gadget(os.system, f"touch {marker}")


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _bytes(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def _call(name: str, *arguments: bytes) -> bytes:
    """Opcodes that call something with arguments; `name`: module and name."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def _whole(code: bytes) -> bytes:
    return b"\x80\x04" + code + b"."


def _number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _storage(numbers: int = 4, claimed: int | None = None) -> bytes:
    """The bytes of a storage as PyTorch writes it into a pickle; `claimed`: how many numbers it says it has."""
    stream = io.BytesIO()
    torch.save(torch.arange(float(numbers)).storage(), stream, _use_new_zipfile_serialization=False)
    data = stream.getvalue()
    if claimed is None:
        return data
    before = b"K" + bytes([numbers])
    assert data.count(before + b"N") == 1
    return data.replace(before + b"N", _number(claimed) + b"N")


LOAD = "torch.storage _load_from_bytes"
TENSOR = "torch._utils _rebuild_tensor_v2"


def _tensor(offset: int, size: list[int], stride: list[int], storage: bytes | None = None) -> bytes:
    numbers = [b"(" + b"".join(map(_number, some)) + b"t" for some in (size, stride)]
    loaded = _call(LOAD, _bytes(storage or _storage()))
    return _whole(_call(TENSOR, loaded, _number(offset), *numbers, b"\x89", b"N"))


def _dtype(code: str) -> bytes:
    return _call("numpy dtype", _text(code), b"\x89", b"\x88")


BOMB = b"\x80\x02cbuiltins\nbytearray\nJ" + (400_000_000).to_bytes(4, "little") + b"\x85R."
HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "os.system": (lambda marker: pickle.dumps({"G_ema": _touching(marker)}), "asks for posix.system"),
    "os.system in an older protocol": (lambda marker: pickle.dumps(_touching(marker), 2), "asks for posix.system"),
    "the oldest protocol": (lambda marker: pickle.dumps(_touching(marker), 0), "is no pickle of this century"),
    "an opcode of the oldest protocol": (
        lambda marker: b"\x80\x02" + pickle.dumps(_touching(marker), 0),
        "asks for posix.system|holds PUT|holds UNICODE",
    ),
    "eval": (lambda marker: _whole(_call("builtins eval", _text(f"open({str(marker)!r}, 'w')"))), "builtins.eval"),
    "a getattr": (lambda marker: _whole(_call("builtins getattr", b"N", _text("x"))), "asks for builtins.getattr"),
    "PyTorch's own loader": (lambda marker: _whole(_call("torch load", _text(str(marker)))), "asks for torch.load"),
    "a function's inside": (
        lambda marker: _whole(_text("torch.storage") + _text("_load_from_bytes.__globals__") + b"\x93"),
        "asks for torch.storage._load_from_bytes.__globals__",
    ),
    "a name with a terminal's orders": (lambda marker: _whole(_text("os\x1b[2J") + _text("x") + b"\x93"), r"os\\x1b"),
    "an instance in the old way": (lambda marker: _whole(b"(" + _text("x") + b"iposix\nsystem\n"), "holds INST"),
    "an object in the old way": (lambda marker: _whole(b"(cposix\nsystem\n" + _text("x") + b"o"), "holds OBJ"),
    "a registered extension": (lambda marker: _whole(b"\x82\x01"), "holds EXT1"),
    "a persistent name": (lambda marker: _whole(_text("x") + b"Q"), "holds BINPERSID"),
    "keywords": (lambda marker: _whole(b"cbuiltins\ndict\n)}\x92"), "holds NEWOBJ_EX"),
    "a pickle inside a storage": (
        lambda marker: _whole(_call(LOAD, _bytes(pickle.dumps(_touching(marker), 2)))),
        "hides posix.system in a tensor",
    ),
    "memory after a storage's numbers": (
        lambda marker: _whole(_call(LOAD, _bytes(_storage()[: _storage().rindex(b"\x80\x02]")] + BOMB))),
        "hides builtins.bytearray in a tensor",
    ),
    "numbers of a kind that takes for ever to tell": (
        lambda marker: _whole(_call("numpy dtype", b"N\x85\x85")),
        "of NumPy, which are no plain numbers",
    ),
    "a key that takes for ever to hash": (lambda marker: _whole(b"}N\x85\x85Ns"), "parts of parts"),
    "a pickle after a storage's head": (
        lambda marker: _whole(
            _call(
                LOAD, _bytes(_storage()[: _storage().index(b"ctorch\n") - 2] + pickle.dumps(_touching(marker), 2)[2:])
            )
        ),
        "in a tensor|is broken|holds",
    ),
    "a storage that is an archive": (lambda marker: _whole(_call(LOAD, _bytes(_archive()))), "holds|is broken"),
    "a storage that is a network": (lambda marker: _whole(_call(LOAD, _bytes(_saved_module()))), "holds|hides"),
    "a storage that claims more": (
        lambda marker: _whole(_call(LOAD, _bytes(_storage(4, claimed=2**40)))),
        "claims a tensor of 1,099,511,627,776 numbers, more than it has",
    ),
    "a storage that claims less than none": (
        lambda marker: _whole(_call(LOAD, _bytes(_storage(4, claimed=-5)))),
        "claims a tensor of -5 numbers",
    ),
    "one storage many times": (
        lambda marker: _whole(b"(" + _bytes(_storage(1000)) + b"\x94" + b"".join([_call(LOAD, b"h\x00")] * 9) + b"t"),
        "one storage many times",
    ),
    "a tensor larger than its storage": (lambda marker: _tensor(0, [2**40], [1]), "more than it has"),
    "a tensor that repeats its storage": (lambda marker: _tensor(0, [2**40], [0]), "more than it has"),
    "a tensor beyond its storage": (lambda marker: _tensor(2, [3], [1]), "more than it has"),
    "a tensor with wide steps": (lambda marker: _tensor(0, [2, 2], [2**40, 1]), "more than it has"),
    "a tensor before its storage": (lambda marker: _tensor(-1, [2], [1]), "a tensor that is none"),
    "a tensor that steps back": (lambda marker: _tensor(3, [2], [-1]), "a tensor that is none"),
    "a tensor of no storage": (
        lambda marker: _whole(_call(TENSOR, b"N", b"K\x00", b")", b")", b"\x89", b"N")),
        "a tensor that is none",
    ),
    "a parameter of no tensor": (
        lambda marker: _whole(_call("torch._utils _rebuild_parameter", _text("x"), b"\x89", b"N")),
        "a parameter that is no tensor",
    ),
    "an array of objects": (
        lambda marker: pickle.dumps(np.array([_touching(marker), None], dtype=object)),
        "of NumPy, which are no plain numbers",
    ),
    "a number that is an object": (
        lambda marker: _whole(_call("numpy.core.multiarray scalar", _dtype("O8"), _bytes(bytes(8)))),
        "of NumPy, which are no plain numbers",
    ),
    "an array that claims more": (
        lambda marker: _whole(
            _call("numpy.core.multiarray _reconstruct", b"cnumpy\nndarray\n", b")", b"N")
            + b"(K\x01("
            + _number(2**40)
            + b"t"
            + _dtype("f8")
            + b"\x89"
            + _bytes(bytes(8))
            + b"tb"
        ),
        "not as long as it says",
    ),
    "a function that is changed": (
        lambda marker: _whole(b"ctorch.storage\n_load_from_bytes\n}" + _text("_call") + b"Nsb"),
        "wants to change a function",
    ),
    "a class that is changed": (
        lambda marker: _whole(b"cdnnlib.util\nEasyDict\n}" + _text("__setstate__") + b"Nsb"),
        "is broken",
    ),
    "an object without a class": (
        lambda marker: _whole(_call("torch_utils.persistence _reconstruct_persistent_obj", b"}")),
        "whose class it does not name",
    ),
    "a hundred thousand levels": (lambda marker: _whole(b")" + b"\x85" * 100_000), "nests more than 300 levels"),
    "a hundred thousand levels as a key": (
        lambda marker: _whole(b"})" + b"\x85" * 100_000 + b"Ns"),
        "nests more than 300 levels",
    ),
    "a hundred thousand marks": (lambda marker: _whole(b"(" * 100_000), "nests more than 300 levels"),
    "an opcode that no one needs": (lambda marker: _whole(b"N0" * 10), "holds POP"),
    "a memo of two thousand million": (lambda marker: _whole(b"Nr\xff\xff\xff\x7f"), "holds LONG_BINPUT"),
    "what was never remembered": (lambda marker: _whole(b"h\x07"), "is broken"),
    "bytes that are not there": (lambda marker: _whole(b"\x8e" + b"\xff" * 7 + b"\x0f"), "claims more bytes"),
    "text that is not there": (lambda marker: _whole(b"X\xff\xff\xff\x7f"), "claims more bytes"),
    "a frame that is not there": (lambda marker: _whole(b"\x95" + b"\xff" * 7 + b"\x0f"), "claims more bytes"),
    "more than the stack has": (lambda marker: _whole(b"\x87"), "takes what it never made"),
    "a mark that was never set": (lambda marker: _whole(b"t"), "is broken"),
    "a name that never ends": (lambda marker: b"\x80\x02c" + b"a" * MEBIBYTE, "is broken"),
    "nothing": (lambda marker: b"", "is no pickle"),
    "no end": (lambda marker: b"\x80\x04N", "is cut short"),
    "a picture": (lambda marker: b"\x89PNG\r\n\x1a\n" + bytes(100), "is no pickle"),
}


def _archive() -> bytes:
    stream = io.BytesIO()
    torch.save(torch.arange(4.0), stream)
    return stream.getvalue()


def _saved_module() -> bytes:
    stream = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_pickle_runs_nothing_and_is_refused_by_name(tmp_path, what):
    make, told = HOSTILE[what]
    path, marker = tmp_path / "network.pkl", tmp_path / "it-was-run"
    path.write_bytes(make(marker))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=told) as caught:
        inert_pickle.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # KiB; most take none
    assert not marker.exists()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(inert_pickle.REMEDY)
    assert message.isprintable()


def test_the_gadget_of_these_tests_is_one(tmp_path):
    marker = tmp_path / "it-was-run"
    pickle.loads(HOSTILE["os.system"][0](marker))
    assert marker.exists()


def test_source_text_stays_text(tmp_path):
    marker = tmp_path / "it-was-run"
    source = f"open({str(marker)!r}, 'w').close()\nclass Generator: pass\n"
    stored = published_pickle.module({"a.b": published_pickle.tensor()}, "Generator", source=source)
    path = published_pickle.write(tmp_path / "network.pkl", {"G_ema": stored})
    assert source.encode() in path.read_bytes()
    found = inert_pickle.read(path)["G_ema"]
    assert (type(found), found.name) == (Record, "Generator")
    assert not marker.exists()


def test_limits_of_bytes_hold(tmp_path):
    path = published_pickle.write(tmp_path / "network.pkl", {"a": torch.zeros(1000)})
    assert inert_pickle.read(path)["a"].tensor.shape == (1000,)
    for limits, told in {
        Limits(file=1000): "more than 1,000",
        Limits(tensor=4000): "more than 4,000 bytes in one tensor",
        Limits(opcodes=20): "more than 20 opcodes",
    }.items():
        with pytest.raises(WeightsError, match=told):
            inert_pickle.read(path, limits)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_come_as_they_were(tmp_path, dtype):
    whole = torch.arange(24).to(dtype).view(2, 3, 4)
    stored = {"whole": whole, "turned": whole.permute(2, 0, 1), "part": whole[1, 1:, ::2], "none": whole[:0]}
    found = inert_pickle.read(published_pickle.write(tmp_path / "a.pkl", stored))
    for name, tensor in stored.items():
        assert found[name].tensor.dtype == dtype
        assert torch.equal(found[name].tensor, tensor)


def test_numbers_of_numpy_come_as_numbers(tmp_path):
    stored = {"gain": np.float64(1.5), "count": np.int32(-7), "yes": np.True_, "big": np.array(2.5, ">f4")[()]}
    path = published_pickle.write(tmp_path / "a.pkl", {**stored, "array": np.arange(6.0).reshape(2, 3)})
    found = inert_pickle.read(path)
    assert {name: found[name] for name in stored} == {"gain": 1.5, "count": -7, "yes": True, "big": 2.5}
    assert isinstance(found["array"], Record)  # checked, and not made


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """A small network with everything that a published one has."""
    tensors = {"G.synthesis.b8.conv1.weight": torch.ones(2, 2, 3, 3), "G.mapping.w_avg": torch.zeros(2)}
    stored = published_pickle.networks(tensors, patchwise={"grid_size": 2, "w_coord_dist": 4})
    path = tmp_path_factory.mktemp("sound") / "network.pkl"
    data = published_pickle.write(path, stored).read_bytes()
    inert_pickle.read(path)
    return data


def test_a_truncated_pickle_is_refused_wherever_it_ends(sound, tmp_path):
    path = tmp_path / "network.pkl"
    for end in [*range(0, len(sound), 97), len(sound) - 1]:
        path.write_bytes(sound[:end])
        with pytest.raises(WeightsError):
            inert_pickle.read(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_pickle_is_read_or_refused(sound, tmp_path, changes):
    data = bytearray(sound)
    for at, value in changes:
        data[int(at * len(data))] = value
    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    told = ""
    try:
        inert_pickle.read(path)
    except WeightsError as error:  # the only one
        told = str(error)
    assert told == "" or (told.isprintable() and told.startswith(str(path)))
