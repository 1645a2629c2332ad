"""A .pkl as the published ALIS and StyleGAN2-ADA write it, without any of their code: the source text is empty."""

from __future__ import annotations

import contextlib
import pickle
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

BUFFERS = ("resample_filter", "noise_const", "w_avg", "basis", "max_shift_strength")


class Persistent:
    """An object that is pickled with the source text of its class."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str = "") -> None:
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,), None


class Named:
    """An object of a class that is only a name here; `state` is what it is built with."""

    def __init__(self, module: str, name: str, state: Any) -> None:
        self.place, self.state = (module, name), state

    def __reduce__(self) -> tuple[Any, ...]:
        module, name = self.place
        return getattr(sys.modules[module], name), (), self.state


@contextlib.contextmanager
def their_names() -> Iterator[None]:
    """Within it the names of the published code can be written into a pickle."""
    functions = {"torch_utils.persistence": ["_reconstruct_persistent_obj"]}
    classes = {
        "omegaconf.dictconfig": ["DictConfig"],
        "omegaconf.nodes": ["AnyNode"],
        "omegaconf.base": ["ContainerMetadata", "Metadata"],
        "dnnlib.util": ["EasyDict"],
    }
    before = dict(sys.modules)
    for place, names in {**functions, **classes}.items():
        for part in (place.split(".")[0], place):
            sys.modules.setdefault(part, types.ModuleType(part))
        for name in names:
            made: Any = type(name, (dict,) if name == "EasyDict" else (), {})
            if place in functions:
                made = types.FunctionType((lambda meta: meta).__code__, {}, name)
            made.__module__, made.__qualname__ = place, name
            setattr(sys.modules[place], name, made)
    try:
        yield
    finally:
        sys.modules.clear()
        sys.modules.update(before)


def module(tensors: Mapping[str, Tensor], name: str = "network", **attributes: Any) -> Persistent:
    """A module with these tensors, by dotted names, in modules of its own; attributes by its dotted name."""
    return _module("", name, tensors, attributes.pop("of", {}), attributes.pop("source", ""), attributes)


def _module(
    path: str,
    name: str,
    tensors: Mapping[str, Tensor],
    of: Mapping[str, Mapping[str, Any]],
    source: str,
    more: Mapping[str, Any] | None = None,
) -> Persistent:
    own = {key: tensor for key, tensor in tensors.items() if "." not in key}
    children: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if "." in key:
            child, _, rest = key.partition(".")
            children.setdefault(child, {})[rest] = tensor
    for place in of:
        if place.startswith(path) and place != path.rstrip("."):
            children.setdefault(place.removeprefix(path).split(".")[0], {})
    state: dict[str, Any] = {
        "training": False,
        "_parameters": OrderedDict((key, nn.Parameter(one, False)) for key, one in own.items() if key not in BUFFERS),
        "_buffers": OrderedDict((key, one) for key, one in own.items() if key in BUFFERS),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_modules": OrderedDict(
            (child, _module(f"{path}{child}.", child, some, of, source)) for child, some in children.items()
        ),
        "weight_gain": np.float64(1) / np.sqrt(3),
        "_init_args": (),
        "_init_kwargs": {},
    }
    state |= of.get(path.rstrip("."), {}) | (more or {})
    return Persistent(name, state, source)


def config(values: Mapping[str, Any]) -> Named:
    """Settings as OmegaConf keeps them."""
    about = Named("omegaconf.base", "Metadata", {"optional": True, "key": None})
    content = {
        name: config(value) if isinstance(value, Mapping) else Named("omegaconf.nodes", "AnyNode", {"_val": value})
        for name, value in values.items()
    }
    return Named("omegaconf.dictconfig", "DictConfig", {"_metadata": about, "_content": content})


def networks(
    tensors: Mapping[str, Tensor],
    *,
    patchwise: Mapping[str, Any] | None = None,
    clamp: float | None = 256,
    float16_from: int = 0,
    source: str = "",
    **generator: Any,
) -> dict[str, Any]:
    """A snapshot of a training: G, G_ema and D of tensors whose names begin with `G.` and `D.`; G is half of G_ema."""
    half = {name[2:]: one.contiguous() for name, one in tensors.items() if name.startswith("G.")}
    other = {name[2:]: one.contiguous() for name, one in tensors.items() if name.startswith("D.")}
    of: dict[str, dict[str, Any]] = {}
    for name in half:
        if found := re.match(r"synthesis\.b(\d+)", name):
            of[found[0]] = {"use_fp16": int(found[1]) >= float16_from > 0, "resolution": int(found[1])}
        if found := re.match(r"synthesis\.b\d+\.(conv0|conv1|torgb)", name):
            of[found[0]] = {"conv_clamp": clamp}
    if patchwise is not None:
        settings = {"patchwise": {"enabled": True, "instance_norm": False, "w_lerp_multiplier": 1.0, **patchwise}}
        of["synthesis"] = {"cfg": config({**settings, "style": {"fallback_to_mean": False}})}
    facts = {"c_dim": 0, **generator}
    made: dict[str, Any] = {
        "training_set_kwargs": {"path": "pictures.zip", "use_labels": False},
        "G": module({name: one / 2 for name, one in half.items()}, "Generator", of=of, source=source, **facts),
        "D": module(other, "Discriminator", of={"b4.mbstd": {"group_size": 4}}, source=source) if other else None,
        "G_ema": module(half, "Generator", of=of, source=source, **facts),
        "augment_pipe": None,
    }
    return made


def dumps(stored: Any, protocol: int = 4) -> bytes:
    """The pickle of something that is made of these."""
    with their_names():
        return pickle.dumps(stored, protocol)


def write(path: Path, stored: Any, protocol: int = 4) -> Path:
    """The same, as a file."""
    path.write_bytes(dumps(stored, protocol))
    return path


def tensor(numbers: int = 4) -> Tensor:
    """A small tensor."""
    return torch.arange(float(numbers))
