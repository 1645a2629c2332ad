"""Files of published networks: safetensors under the published names, and the .pkl of ALIS and StyleGAN2-ADA.

A .pkl is read as data (`inert_pickle`). Its modules are records that hold their parameters, buffers and modules; the
dotted names of these are the published names. What else it says of a network is read too: how its patches and anchors
stand, the bound of its activations, where it computes in float16.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models import inert_pickle, published
from models.inert_pickle import REMEDY, Record
from models.weights import WeightsError, read_tensors

GENERATORS = ("G_ema", "G")  # in a .pkl, the better first: the first is the running average
DISCRIMINATOR = "D"
MODULES = 10_000  # in one network, at most
DEPTH = 20  # of modules in each other


@dataclass(frozen=True)
class Published:
    """What a file holds. tensors: by published names, `G.` for the generator, `D.` for the discriminator."""

    tensors: Mapping[str, Tensor]
    networks: tuple[str, ...]  # what the file calls those that were taken
    sizes: Mapping[str, Any]  # as the file tells them, of `models.published`'s: all or some
    family: str  # stylegan2 or alis


def read(path: Path) -> Published:
    """The networks of a file, `.pkl` or `.safetensors`.

    Raises WeightsError for a file that is broken, asks for anything to be run, or holds no generator.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is not there: give the path of a file of weights")
    if path.suffix not in (".pkl", ".safetensors"):
        raise WeightsError(f"{path}: its name must end in .pkl or .safetensors, whichever it is")
    found = _pickled(path) if path.suffix == ".pkl" else _named(path)
    if not any(name.startswith("G.synthesis.") for name in found.tensors):
        raise WeightsError(f"{path} holds no generator of ALIS or StyleGAN2 (no name begins with G.synthesis.)")
    return found


def _family(tensors: Mapping[str, Tensor]) -> str:
    return "alis" if "G.synthesis.b4.input.input.input_column" in tensors else "stylegan2"


def _named(path: Path) -> Published:
    tensors = {name: one for name, one in read_tensors(path).items() if name.startswith(("G.", "D."))}
    networks = tuple(half for half in ("G", "D") if any(name.startswith(f"{half}.") for name in tensors))
    return Published(tensors, networks, published.told_sizes(tensors), _family(tensors))


def _pickled(path: Path) -> Published:
    stored = inert_pickle.read(path)
    if not isinstance(stored, dict):
        raise WeightsError(f"{path} holds no networks by name; {REMEDY}")
    name = next((one for one in GENERATORS if isinstance(stored.get(one), Record)), None)
    if name is None:
        raise WeightsError(f"{path} holds neither {' nor '.join(GENERATORS)}; {REMEDY}")
    generator, discriminator = stored[name], stored.get(DISCRIMINATOR)
    try:
        tensors = {f"G.{key}": one for key, one in _tensors(generator)}
        networks: tuple[str, ...] = (name,)
        if isinstance(discriminator, Record):
            tensors |= {f"D.{key}": one for key, one in _tensors(discriminator)}
            networks += (DISCRIMINATOR,)
        kind = _family(tensors)
        sizes = published.told_sizes(tensors) | _facts(generator, kind)
        if (group := _state(_modules(discriminator, "b4", "mbstd")).get("group_size")) is not None:
            sizes["mbstd_group_size"] = _number("group_size", group)
    except ValueError as error:
        raise WeightsError(f"{path} {error}; {REMEDY}") from error
    return Published(tensors, networks, sizes, kind)


def _tensors(network: Record) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a network by their dotted names. Raises ValueError where it is none."""
    left: list[tuple[str, Any, int]] = [("", network, 0)]
    seen = 0
    while left:
        prefix, module, depth = left.pop()
        seen += 1
        if seen > MODULES or depth > DEPTH:
            raise ValueError(f"holds a network of more than {MODULES:,} modules, or {DEPTH} in each other")
        state = _state(module)
        for kind in ("_parameters", "_buffers"):
            for name, one in _items(state, kind):
                if isinstance(one, Record) and one.tensor is not None:
                    yield prefix + name, one.tensor
                elif one is not None:
                    raise ValueError(f"holds {prefix}{name}, which is no tensor")
        left += [(f"{prefix}{name}.", one, depth + 1) for name, one in _items(state, "_modules") if one is not None]


def _items(state: Mapping[Any, Any], kind: str) -> Iterator[tuple[str, Any]]:
    """Members of a module by their names, as identifiers."""
    members = state.get(kind)
    if not isinstance(members, dict):
        raise ValueError(f"holds a network without {kind}")
    for name, one in members.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w{1,100}", name, re.ASCII):
            raise ValueError("holds a network whose parts have no proper names")
        yield name, one


def _state(record: Any) -> Mapping[Any, Any]:
    return record.state if isinstance(record, Record) and isinstance(record.state, dict) else {}


def _modules(record: Any, *names: str) -> Any:
    """A module within a module; None where there is none."""
    for name in names:
        members = _state(record).get("_modules")
        record = members.get(name) if isinstance(members, dict) else None
    return record


def _facts(generator: Record, kind: str) -> dict[str, Any]:
    """What a .pkl says of its generator beside tensors. Raises ValueError where it is a kind that is not known here."""
    if _state(generator).get("c_dim"):
        raise ValueError("holds a network of classes (c_dim), which this toolkit does not have")
    synthesis = _modules(generator, "synthesis")
    members = _state(synthesis).get("_modules")
    blocks = {
        int(found[1]): block
        for name, block in (members.items() if isinstance(members, dict) else ())
        if isinstance(name, str) and (found := re.fullmatch(r"b(\d{1,6})", name))
    }
    clamp = _state(_modules(blocks.get(4), "conv1")).get("conv_clamp") or 0.0
    facts: dict[str, Any] = {"clamp": _number("conv_clamp", clamp)}
    if kind == "alis":
        config = _state(synthesis).get("cfg")
        for name in ("grid_size", "w_coord_dist"):
            if (value := _setting(config, "patchwise", name)) is not None:
                facts[name] = _number(name, value)
        low = [resolution for resolution, block in blocks.items() if _state(block).get("use_fp16") is True]
        facts["float16_styles_from"] = min(low, default=0)
        others = {("patchwise", "instance_norm"), ("style", "fallback_to_mean")}
        if odd := [".".join(keys) for keys in sorted(others) if _setting(config, *keys) is True]:
            raise ValueError(f"holds an ALIS with {', '.join(odd)}, which this toolkit does not have")
        if _setting(config, "patchwise", "w_lerp_multiplier") not in (None, 1):
            raise ValueError("holds an ALIS with another w_lerp_multiplier than 1, which this toolkit does not have")
    return facts


def _number(name: str, value: Any) -> int | float:
    if type(value) not in (int, float):
        raise ValueError(f"holds a {name} that is no number")
    return value  # type: ignore[no-any-return]


def _setting(config: Any, *keys: str) -> Any:
    """A value of the configuration that a module carries (OmegaConf's, or plain dictionaries); None where not told."""
    for key in keys:
        content = _state(config).get("_content", config)
        found = content.get(key) if isinstance(content, dict) else None
        config = _state(found).get("_val", found)
    return config
