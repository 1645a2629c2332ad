"""What makes features of pictures for the Frechet distance: the 2015 Inception, or a small network without a file.

Only a number from the 2015 Inception is a FID (`Extractor.is_fid`); one from another network is a Frechet distance
whose features are named beside it. All take uint8 pictures of any size. `models.extractors` has them by name.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import math
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models import counter_random
from models.weights import REGISTRY, WeightsError, how_to_get, sha256_of

INCEPTION_FILE = REGISTRY["inception"].file
INCEPTION_SHA256 = REGISTRY["inception"].sha256
INCEPTION_DIMS = 2048
INCEPTION_SIDE = 299  # pixels
CLEAN, LEGACY, NONE = "clean", "legacy", "none"  # ways to resize
SMALL_WIDTHS = (16, 24, 32, 48)  # channels of the small network, after each convolution
SMALL_SIDE = 16  # pixels: the smallest picture it takes, so that every map can be padded by reflection


@dataclass(frozen=True)
class Extractor:
    """A feature network: pictures uint8 [n, 3, height, width] in, features float32 [n, dims] out."""

    name: str
    dims: int
    weights_hash: str  # SHA-256
    resize: str  # how pictures come to the network's size: CLEAN, LEGACY, or NONE where it takes any
    device: torch.device
    network: Callable[[Tensor], Tensor] = field(repr=False, compare=False)  # prepared [n, 3, h, w] on the device
    prepare: Callable[[Tensor], Tensor] | None = field(default=None, repr=False, compare=False)  # uint8 [3, h, w]

    @property
    def is_fid(self) -> bool:
        """Whether a Frechet distance of these features may be called FID."""
        return self.weights_hash == INCEPTION_SHA256

    @property
    def label(self) -> str:
        """`name@weights_hash`: what two numbers must share to be compared."""
        return f"{self.name}@{self.weights_hash}"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features float32 [n, dims] of uint8 images [n, 3, height, width], on this extractor's device.

        Computed in float32 without TF32. Raises ValueError for other images, or smaller than 16 pixels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"{images.dtype} {list(images.shape)} are not pictures uint8 [n, 3, height, width]")
        if min(images.shape[2:]) < SMALL_SIDE:
            raise ValueError(f"pictures of {images.shape[3]}x{images.shape[2]} pixels: at least 16x16 are needed")
        return self.each(images)  # its rows are pictures

    @torch.no_grad()
    def each(self, images: Sequence[Tensor] | Tensor) -> Tensor:
        """Features float32 [n, dims] of uint8 images [3, height, width] of any sizes from 16 pixels.

        In one batch where all come to the same size: they are equal, or the network has a size of its own.
        """
        if not len(images):
            return torch.empty(0, self.dims, device=self.device)
        ready = images if self.prepare is None else _in_threads(self.prepare, images)
        with _without_tf32():
            if len({image.shape for image in ready}) == 1:
                batch = ready if isinstance(ready, Tensor) else torch.stack(list(ready))
                return self.network(batch.to(self.device)).float()
            return torch.cat([self.network(image[None].to(self.device)).float() for image in ready])


def _in_threads(prepare: Callable[[Tensor], Tensor], images: Iterable[Tensor]) -> list[Tensor]:
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:  # Pillow works without Python's lock
        return list(pool.map(prepare, images))


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Float32 in full on a GPU too: TF32, the default of its convolutions, keeps 10 bits of each factor."""
    kinds = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


def inception(path: Path, device: torch.device | str = "cpu", resize: str = CLEAN) -> Extractor:
    """The 2015 Inception from its file, or from the folder that holds `inception-2015-12-05.pt`, through clean-fid.

    Pictures come to 299x299 in one of two ways (Parmar et al. 2022, arXiv:2104.11222). `clean`: Pillow's bicubic
    filter on each channel as floats, clipped to [0, 255], not rounded. `legacy`: the file's own TensorFlow 1 bilinear
    filter, as in clean-fid's `legacy_tensorflow` and in the tables of StyleGAN2-ADA and ALIS. Numbers of the two are
    never compared.

    The file is TorchScript, which runs code when it is opened, so its SHA-256 is checked first. Raises WeightsError
    when it is missing or another one, ValueError for another resize.
    """
    file = path if path.is_file() else path / INCEPTION_FILE
    return _inception(file, torch.device(device), INCEPTION_SHA256, resize)


def _inception(path: Path, device: torch.device, expected: str, resize: str = CLEAN) -> Extractor:
    if resize not in (CLEAN, LEGACY):
        raise ValueError(f"the 2015 Inception takes the resizes {CLEAN} and {LEGACY}, not {resize}")
    if not path.is_file():
        raise WeightsError(f"{path} is missing: {how_to_get('inception')}")
    found = sha256_of(path)
    if found != expected:
        raise WeightsError(
            f"{path} has the SHA-256 {found}, not {expected}, and was not opened: "
            f"delete it and {how_to_get('inception')}"
        )
    from cleanfid.inception_torchscript import InceptionV3W

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)  # what the file is made for
        (Path(folder) / INCEPTION_FILE).symlink_to(path.absolute())  # clean-fid takes the folder, and this name only
        network = InceptionV3W(folder, download=False, resize_inside=resize == LEGACY).to(device).eval()

    def run(images: Tensor) -> Tensor:
        features: Tensor = network(images.float())  # levels 0 ... 255: whole ones where it resizes inside
        return features

    prepare = clean_resize(INCEPTION_SIDE) if resize == CLEAN else None
    return Extractor("inception-2015-12-05", INCEPTION_DIMS, found, resize, device, run, prepare)


def clean_resize(side: int) -> Callable[[Tensor], Tensor]:
    """What makes of a picture uint8 [3, height, width] float32 [3, side, side] in [0, 255], on the CPU."""
    return functools.partial(_clean_resize, side=side)


def _clean_resize(image: Tensor, side: int) -> Tensor:
    from cleanfid.resize import make_resizer

    resize: Callable[[np.ndarray], np.ndarray] = make_resizer("PIL", False, "bicubic", (side, side))
    return torch.from_numpy(resize(image.permute(1, 2, 0).cpu().numpy())).permute(2, 0, 1).contiguous()


def small(seed: int = 0, device: torch.device | str = "cpu") -> Extractor:
    """A fixed small convolutional network with random filters, the same for ever for a seed.

    Untrained, but not blind: see `_small_features`. Its numbers tell pictures apart and order them; they are no FID.
    """
    weights = _small_weights(seed)
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.numpy().astype("<f4").tobytes())
    where = torch.device(device)
    placed = [weight.to(where) for weight in weights]
    dims = 2 * (3 + sum(SMALL_WIDTHS))
    return Extractor(
        "small-conv", dims, digest.hexdigest(), NONE, where, lambda images: _small_features(images, placed)
    )


def _small_weights(seed: int) -> list[Tensor]:
    """Filters float32 [out, in, 3, 3]: normal numbers of He's scale, less their mean over the nine pixels.

    In float64, then rounded to 2**-12: the last bit of a logarithm, which differs between machines, is not in them.
    """
    weights = []
    for layer, (channels, width) in enumerate(itertools.pairwise((3, *SMALL_WIDTHS))):
        drawn = counter_random.normal(seed, counter_random.Kind.FILTER, layer, torch.arange(width), channels * 9)
        filters = drawn.double().view(width, channels, 3, 3) * math.sqrt(2 / (9 * channels))
        filters -= filters.mean((2, 3), keepdim=True)
        weights.append(((filters * 2**12).round() / 2**12).float())
    return weights


def _small_features(images: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Means and deviations over the pixels, of the colours and of the maps after each convolution: [n, dims].

    Each filter has no mean, so that it answers to contrast and not to brightness (which the colours tell); the
    modulus makes what it found an amount that the next, coarser convolution sees. Every depth thus measures texture
    at its own scale, and none is drowned by the brightness of the pictures.
    """
    x = images.float() / 127.5 - 1  # [n, 3, h, w]
    features = [_mean_and_deviation(x)]
    for weight in weights:
        x = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), weight, stride=2).abs()
        features.append(_mean_and_deviation(x))  # [n, 2 * width]
    return torch.cat(features, 1)


def _mean_and_deviation(x: Tensor) -> Tensor:
    return torch.cat([x.mean((2, 3)), x.std((2, 3), correction=0)], 1)
