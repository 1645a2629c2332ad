"""Networks and optimisers as named tensors, and back: what every trainer's checkpoint is made of."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.execution import laid_out_as

Networks = Mapping[str, nn.Module]
Optimisers = Mapping[str, torch.optim.Optimizer]


def gathered(networks: Networks, optimisers: Optimisers) -> dict[str, Tensor]:
    """`<network>.<name>` and `optimiser.<name>.<parameter>.<moment>`; optimisers that made no step have none."""
    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    for name, optimiser in optimisers.items():
        for at, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{name}.{at}.{key}": value for key, value in moments.items()}
    return tensors


def restore(tensors: dict[str, Tensor], networks: Networks, optimisers: Optimisers) -> None:
    """Put them back. Raises RuntimeError, KeyError or ValueError for those of other networks."""
    for name, network in networks.items():
        network.load_state_dict(below(tensors, name))
    for name, optimiser in optimisers.items():
        parameters = [one for group in optimiser.param_groups for one in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in below(tensors, f"optimiser.{name}").items():
            at, _, what = key.partition(".")
            kept = laid_out_as(parameters[int(at)], tensor) if tensor.ndim else tensor
            moments.setdefault(int(at), {})[what] = kept
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Those whose names begin with `<name>.`, without it."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
