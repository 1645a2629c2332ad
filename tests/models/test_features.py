"""Features tell pictures apart, are the same every time, and are called FID only when they are."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from inception import StandInLayers, write_stand_in
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models import features
from models.features import INCEPTION_FILE, INCEPTION_SHA256, Extractor
from models.statistics import Gaussian, frechet
from models.weights import WeightsError

SMALL_HASH = "86b2ee6889be0e0a76d8725abcbfcebef5303aadc1cc5fc06d6dc9fe3ce3d6b7"  # of seed 0, recorded when written
CPU = torch.device("cpu")
REAL = Path(os.environ.get("LHQ_CACHE", "~/.cache/lhq")).expanduser()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache folder with a TorchScript file in Inception's place, and the file's SHA-256."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, write_stand_in(cache / INCEPTION_FILE)


@pytest.fixture(scope="module")
def scenes(painted: Path) -> Tensor:
    """The painted scenes at 64x64 pixels."""
    pictures = [Image.open(path).resize((64, 64), Image.Resampling.BOX) for path in sorted(painted.glob("*.jpg"))]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def _random(n: int, height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(seed)).byte()


def _gaussian(extractor: Extractor, images: Tensor) -> Gaussian:
    gaussian = Gaussian(extractor.dims)
    for batch in images.split(50):
        gaussian.add(extractor(batch))
    return gaussian


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def _bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).byte()


def _blurred(images: Tensor, sigma: float) -> Tensor:
    at = torch.arange(-8.0, 9)
    row = torch.softmax(-at.square() / (2 * sigma**2), 0)
    kernel = torch.outer(row, row).expand(3, 1, -1, -1)
    return _bytes(functional.conv2d(functional.pad(images.float(), (8,) * 4, mode="reflect"), kernel, groups=3))


def _noisy(images: Tensor, deviation: float) -> Tensor:
    return _bytes(images + deviation * torch.randn(images.shape, generator=torch.Generator().manual_seed(1)))


def _warmer(images: Tensor, amount: float) -> Tensor:
    return _bytes(images + amount * torch.tensor([1.0, 0, -1])[:, None, None])


def _flatter(images: Tensor, loss: float) -> Tensor:
    return _bytes((images - 128.0) * (1 - loss) + 128)


def _shuffled(images: Tensor, pieces: float) -> Tensor:
    """Cut into pieces x pieces squares, put together in a random order."""
    generator, count, side = torch.Generator().manual_seed(2), int(pieces), 64 // int(pieces)
    cut = images.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)  # [n, 3, squares, side, side]
    mixed = torch.stack([image[:, torch.randperm(count**2, generator=generator)] for image in cut])
    rows = mixed.unflatten(2, (count, count)).transpose(3, 4)  # [n, 3, row, y, column, x]
    return rows.reshape(images.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "strengths"),
    [
        (_blurred, [0.6, 1, 2, 4]),
        (_noisy, [8, 16, 32, 64]),
        (_warmer, [16, 32, 64]),
        (_flatter, [0.15, 0.3, 0.6]),
        (_shuffled, [2, 4, 8, 16]),
    ],
)
def test_spoiled_pictures_are_farther_than_other_pictures_and_the_more_spoiled_the_farther(
    scenes: Tensor, spoil: Callable[[Tensor, float], Tensor], strengths: list[float]
) -> None:
    """Half of the scenes against the other half: as they are, then spoiled ever more strongly."""
    small = features.small()
    some, others = _gaussian(small, scenes[::2]), scenes[1::2]
    distances = [frechet(some, _gaussian(small, others))]
    distances += [frechet(some, _gaussian(small, spoil(others, strength))) for strength in strengths]
    assert distances == sorted(set(distances))
    assert distances[1] > 1.2 * distances[0]
    assert distances[-1] > 3 * distances[0]


def test_the_small_network_is_the_same_for_ever() -> None:
    """On any machine, whatever torch's own generators do; another seed is another network."""
    torch.manual_seed(1)
    first = features.small()
    torch.manual_seed(2)
    torch.rand(5)
    again = features.small(0)
    assert first.weights_hash == SMALL_HASH
    assert first == again
    images = _random(3)
    assert torch.equal(first(images), again(images))
    other = features.small(1)
    assert other.weights_hash != SMALL_HASH
    assert _error(other(images), first(images)) > 0.01


def test_the_small_networks_hash_is_that_of_its_weights() -> None:
    weights = b"".join(weight.numpy().astype("<f4").tobytes() for weight in features._small_weights(3))
    assert features.small(3).weights_hash == hashlib.sha256(weights).hexdigest()


@pytest.mark.parametrize("batch", [1, 2, 7, 20])
@pytest.mark.parametrize("side", [16, 37, 64])
def test_features_do_not_depend_on_the_batch(batch: int, side: int) -> None:
    small, images = features.small(), _random(20, side, side + 5)
    whole = small(images)
    parts = torch.cat([small(part) for part in images.split(batch)])
    assert max(_error(part, one) for part, one in zip(parts, whole, strict=True)) < 1e-5


@pytest.mark.parametrize("size", [(16, 16), (16, 333), (17, 16), (256, 256)])
def test_the_small_network_takes_any_size_from_16_pixels_on(size: tuple[int, int]) -> None:
    small = features.small()
    for images in (_random(2, *size), torch.zeros(2, 3, *size, dtype=torch.uint8)):
        out = small(images)
        assert out.shape == (2, small.dims)
        assert out.dtype == torch.float32
        assert out.isfinite().all()


def test_the_first_features_are_the_colours() -> None:
    images = _random(4)
    scaled = images.double() / 127.5 - 1
    expected = torch.cat([scaled.mean((2, 3)), scaled.flatten(2).std(2, correction=0)], 1)
    assert _error(features.small()(images)[:, :6].double(), expected) < 1e-6


def test_an_even_picture_has_colours_and_no_texture() -> None:
    out = features.small()(torch.full((1, 3, 32, 32), 200, dtype=torch.uint8))
    assert torch.allclose(out[:, :3], torch.tensor(200 / 127.5 - 1))
    assert out[:, 3:].abs().max() < 0.01


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 32),
        torch.zeros(3, 32, 32, dtype=torch.uint8),
        torch.zeros(2, 32, 32, 3, dtype=torch.uint8),
        torch.zeros(2, 3, 15, 32, dtype=torch.uint8),
    ],
)
def test_what_is_no_picture_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="pictures"):
        features.small()(images)


def test_no_picture_has_no_features() -> None:
    assert features.small()(_random(0)).shape == (0, 246)


def test_only_the_2015_inception_is_called_fid(stand_in: tuple[Path, str]) -> None:
    cache, sha256 = stand_in
    assert not features.small().is_fid
    standing_in = features._inception(cache / INCEPTION_FILE, CPU, sha256)
    assert not standing_in.is_fid
    assert standing_in.label == f"inception-2015-12-05@{sha256}"
    assert Extractor("inception-2015-12-05", 2048, INCEPTION_SHA256, "clean", CPU, torch.Tensor.float).is_fid
    assert features.small().label == f"small-conv@{SMALL_HASH}"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(48, 80), (299, 299), (330, 310)])
def test_inceptions_pictures_are_resized_per_channel_in_floats(
    stand_in: tuple[Path, str], size: tuple[int, int]
) -> None:
    """What the network gets is Pillow's bicubic of each channel, clipped and not rounded; then (x - 128) / 128."""
    cache, sha256 = stand_in
    extractor = features._inception(cache / INCEPTION_FILE, CPU, sha256)
    images = _random(3, *size)
    resized = np.stack(
        [
            [
                np.asarray(Image.fromarray(channel.astype("f4")).resize((299, 299), Image.Resampling.BICUBIC))
                for channel in image
            ]
            for image in images.numpy()
        ]
    ).clip(0, 255)
    with torch.no_grad():
        expected = StandInLayers()((torch.from_numpy(resized) - 128) / 128)
    out = extractor(images)
    assert out.shape == (3, 2048)
    assert out.dtype == torch.float32
    assert extractor.dims == 2048
    assert extractor.resize == "clean"
    assert _error(out, expected) < 1e-6
    assert max(_error(extractor(image[None])[0], one) for image, one in zip(images, out, strict=True)) < 1e-5


def test_a_file_that_is_not_inception_is_never_opened(
    stand_in: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, what it is, what it should be and what to do."""
    cache, sha256 = stand_in
    opened: list[object] = []
    monkeypatch.setattr(torch.jit, "load", lambda *arguments, **_: opened.append(arguments))
    with pytest.raises(WeightsError) as error:
        features.inception(cache)
    for part in (
        str(cache / INCEPTION_FILE),
        sha256,
        INCEPTION_SHA256,
        "delete it and run: lhq weights fetch inception",
    ):
        assert part in str(error.value)
    changed = bytearray((cache / INCEPTION_FILE).read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / INCEPTION_FILE).write_bytes(changed)
    with pytest.raises(WeightsError, match=f"not {sha256}"):
        features._inception(tmp_path / INCEPTION_FILE, CPU, sha256)
    assert opened == []


@pytest.mark.parametrize("own_size", [True, False], ids=["inception", "small"])
def test_pictures_of_different_sizes_have_the_features_they_have_alone(
    stand_in: tuple[Path, str], own_size: bool
) -> None:
    cache, sha256 = stand_in
    extractor = features._inception(cache / INCEPTION_FILE, CPU, sha256) if own_size else features.small()
    images = [_random(1, *size)[0] for size in ((64, 80), (64, 80), (90, 33))]
    out = extractor.each(images)
    assert out.shape == (3, extractor.dims)
    assert max(_error(extractor(image[None])[0], one) for image, one in zip(images, out, strict=True)) < 1e-5
    assert torch.equal(extractor.each(images[:2]), extractor(torch.stack(images[:2])))
    assert extractor.each([]).shape == (0, extractor.dims)


def test_a_missing_file_is_named_with_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"inception-2015-12-05\.pt is missing: run: lhq weights fetch inception"):
        features.inception(tmp_path)


@pytest.mark.slow
def test_models_need_neither_clean_fid_nor_what_comes_with_it() -> None:
    """In a process where these packages cannot be imported, everything but Inception works."""
    program = """
import sys
for name in ("cleanfid", "torchvision", "scipy", "requests", "ray", "flickrapi", "PIL"):
    sys.modules[name] = None
import torch
from models import features, statistics
extractor = features.small()
gaussian = statistics.Gaussian(extractor.dims)
gaussian.add(extractor(torch.zeros(3, 3, 16, 16, dtype=torch.uint8)))
print(statistics.frechet(gaussian, gaussian))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr


@pytest.mark.skipif(not (REAL / INCEPTION_FILE).exists(), reason=f"{INCEPTION_FILE} is not in {REAL}")
def test_the_real_inception_tells_pictures_apart(scenes: Tensor) -> None:
    extractor = features.inception(REAL)
    assert extractor.is_fid
    out = extractor(scenes[:8])
    assert out.shape == (8, 2048)
    assert out.min() >= 0  # pooled after a ReLU
    assert _error(torch.cat([extractor(scenes[:3]), extractor(scenes[3:8])]), out) < 1e-5
    some, others = _gaussian(extractor, scenes[::2]), scenes[1::2]
    distances = [frechet(some, _gaussian(extractor, images)) for images in (others, _blurred(others, 2))]
    assert 0 < distances[0] < distances[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_features_of_the_cpu_and_keeps_its_settings() -> None:
    images = _random(5)
    before = torch.backends.cudnn.conv.fp32_precision
    out = features.small(device="cuda")(images)
    assert out.device.type == "cuda"
    assert _error(out.cpu(), features.small()(images)) < 1e-5
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_the_arithmetic_of_others_is_left_as_it_was() -> None:
    kinds = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    inside: list[str] = []

    def network(images: Tensor) -> Tensor:
        inside.extend(kind.fp32_precision for kind in kinds)
        raise RuntimeError("no memory")

    before = [kind.fp32_precision for kind in kinds]
    with pytest.raises(RuntimeError, match="no memory"):
        Extractor("none", 1, "", "none", CPU, network)(_random(1))
    assert inside == ["ieee", "ieee"]
    assert [kind.fp32_precision for kind in kinds] == before
