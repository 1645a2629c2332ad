"""Feature networks by name: what `lhq evaluate --features` may choose.

A network is known by its name and the SHA-256 of its weights; both stand in the row beside every number. Only
`inception` gives numbers called FID. The ResNets are torchvision's, trained on ImageNet, before their last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import features, resnet_classifier, weights
from models.features import CLEAN, LEGACY, NONE, Extractor
from models.weights import WeightsError

RESNET_SIDE = 224  # pixels, at which these networks were trained

Maker = Callable[[Path, str, torch.device], Extractor]


def _inception(cache: Path, resize: str, device: torch.device) -> Extractor:
    return features.inception(cache, device, resize)


def _small(cache: Path, resize: str, device: torch.device) -> Extractor:  # noqa: ARG001 (it has no file, no size)
    return features.small(device=device)


def _resnet(name: str) -> Maker:
    def make(cache: Path, resize: str, device: torch.device) -> Extractor:
        found = weights.find(name, cache=cache)
        network = resnet_classifier.build(resnet_classifier.Sizes(name), 0)
        try:
            resnet_classifier.begin(network, weights.read_tensors(found.path))
        except ValueError as error:
            raise WeightsError(f"{found.path} does not fit {name} ({error}); {weights.how_to_get(name)}") from error
        dims = int(network.fc.in_features)  # type: ignore[union-attr,arg-type]
        network.fc = nn.Identity()
        network.to(device).eval().requires_grad_(False)

        def run(images: Tensor) -> Tensor:
            x = images.float()
            if resize == LEGACY:
                x = functional.interpolate(x, (RESNET_SIDE, RESNET_SIDE), mode="bilinear", align_corners=False)
            out: Tensor = network(resnet_classifier.normalised(x))
            return out

        prepare = features.clean_resize(RESNET_SIDE) if resize == CLEAN else None
        return Extractor(name, dims, found.sha256, resize, device, run, prepare)

    return make


REGISTRY: Mapping[str, tuple[tuple[str, ...], Maker]] = {  # the resizes a network takes, the default first
    "inception": ((CLEAN, LEGACY), _inception),
    "resnet18": ((CLEAN, LEGACY), _resnet("resnet18")),
    "wide_resnet50_2": ((CLEAN, LEGACY), _resnet("wide_resnet50_2")),
    "small": ((NONE,), _small),
}


def by_name(name: str | None, cache: Path, resize: str | None = None, device: torch.device | str = "cpu") -> Extractor:
    """The network of this name, its file in the cache folder; `resize` None is the first that it takes.

    Without a name the 2015 Inception where its file lies there, else the small network. The resize `clean` is
    Pillow's bicubic filter on floats, which blurs before it shrinks; `legacy` a bilinear one that does not:
    TensorFlow 1's in the Inception, PyTorch's in the ResNets.

    Raises ValueError for a name or a resize that does not exist, WeightsError where the file is missing or not it.
    """
    if name is None:
        name = "inception" if (cache / features.INCEPTION_FILE).exists() else "small"
    if name not in REGISTRY:
        raise ValueError(f"no features are called {name!r}; there are: {', '.join(REGISTRY)}")
    resizes, make = REGISTRY[name]
    if resize is not None and resize not in resizes:
        raise ValueError(f"the features {name} take the resize {' or '.join(resizes)}, not {resize!r}")
    return make(cache, resize or resizes[0], torch.device(device))
