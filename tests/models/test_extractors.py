"""Feature networks by name: each with its weights' hash, its resizes, and never a FID but the Inception's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from inception import StandInLayers, write_stand_in
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models import extractors, features, resnet_classifier, weights
from models.features import INCEPTION_FILE, INCEPTION_SHA256
from models.weights import REGISTRY, WeightsError

CPU = torch.device("cpu")


def _random(n: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(0)).byte()


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A cache folder with random weights in resnet18's place, and the weights."""
    cache = tmp_path_factory.mktemp("resnet")
    tensors = dict(resnet_classifier.build(resnet_classifier.Sizes("resnet18"), seed=3).state_dict())
    torch.save(tensors, cache / REGISTRY["resnet18"].file)
    return cache, tensors


@pytest.fixture
def resnet(resnet_file: tuple[Path, dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That cache, its file registered as the right one."""
    import dataclasses

    cache, _ = resnet_file
    known = dataclasses.replace(REGISTRY["resnet18"], sha256=_sha256(cache / REGISTRY["resnet18"].file)[:8])
    monkeypatch.setattr(weights, "REGISTRY", {**REGISTRY, "resnet18": known})
    return cache


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_networks_are_those_of_the_registry_of_weights_and_the_small_one() -> None:
    assert set(extractors.REGISTRY) == {"inception", "resnet18", "wide_resnet50_2", "small"}
    assert {name for name in extractors.REGISTRY if name != "small"} <= set(REGISTRY)


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["clean", "legacy"])
def test_a_resnets_features_are_what_enters_its_last_layer(
    resnet: Path, resnet_file: tuple[Path, dict[str, Tensor]], resize: str
) -> None:
    """Against torchvision's own network, with pictures resized here by Pillow and by PyTorch."""
    from torchvision.models import resnet18

    images = _random(2, 90, 60)
    if resize == "clean":
        side = (224, 224)
        resized = torch.from_numpy(
            np.stack(
                [
                    [
                        np.asarray(Image.fromarray(one.astype("f4")).resize(side, Image.Resampling.BICUBIC))
                        for one in rgb
                    ]
                    for rgb in images.numpy()
                ]
            ).clip(0, 255)
        )
    else:
        resized = functional.interpolate(images.float(), (224, 224), mode="bilinear", antialias=False)
    network = resnet18(weights=None, num_classes=2).eval()
    network.load_state_dict(resnet_file[1])
    entered: list[Tensor] = []
    network.fc.register_forward_hook(lambda layer, given, out: entered.append(given[0]))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        network((resized / 255 - mean[:, None, None]) / deviation[:, None, None])
    extractor = extractors.by_name("resnet18", resnet, resize)
    assert _error(extractor(images), entered[0]) < 1e-5
    assert (extractor.dims, extractor.resize, extractor.is_fid) == (512, resize, False)
    assert extractor.label == f"resnet18@{_sha256(resnet / REGISTRY['resnet18'].file)}"


def test_a_file_that_is_not_the_registered_network_is_refused(
    resnet_file: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"not f37072fd.*was not opened"):
        extractors.by_name("resnet18", resnet_file[0])
    for name in ("resnet18", "wide_resnet50_2", "inception"):
        with pytest.raises(WeightsError, match=f"missing: run: lhq weights fetch {name}"):
            extractors.by_name(name, tmp_path)


def test_what_does_not_exist_is_told_with_what_does(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'clip'; there are: inception, resnet18, wide_resnet50_2, small"):
        extractors.by_name("clip", tmp_path)
    with pytest.raises(ValueError, match="small take the resize none, not 'legacy'"):
        extractors.by_name("small", tmp_path, "legacy")
    with pytest.raises(ValueError, match="clean or legacy, not 'none'"):
        extractors.by_name("inception", tmp_path, "none")
    with pytest.raises(ValueError, match="clean and legacy, not none"):
        features.inception(tmp_path, resize="none")


def test_without_a_name_the_inception_is_taken_where_its_file_is_else_the_small_network(tmp_path: Path) -> None:
    assert extractors.by_name(None, tmp_path) == extractors.by_name("small", tmp_path) == features.small()
    (tmp_path / INCEPTION_FILE).write_bytes(b"another file")
    with pytest.raises(WeightsError, match=f"not {INCEPTION_SHA256}"):
        extractors.by_name(None, tmp_path)


@pytest.mark.parametrize("size", [(64, 64), (299, 299), (310, 400)])
def test_legacy_is_tensorflow_1s_bilinear_filter_inside_the_network(tmp_path: Path, size: tuple[int, int]) -> None:
    """Read off in numpy: pixel i of 299 lies at i * size / 299; the levels that enter are whole and not clipped."""
    sha256 = write_stand_in(tmp_path / INCEPTION_FILE)
    extractor = features._inception(tmp_path / INCEPTION_FILE, CPU, sha256, "legacy")
    images = _random(2, *size)
    pixels = images.numpy().astype(np.float64)
    for axis, length in ((2, size[0]), (3, size[1])):
        at = np.arange(299) * length / 299
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (at - low).reshape((-1, 1) if axis == 2 else (1, -1))
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(high, axis) * share
    with torch.no_grad():
        expected = StandInLayers()(torch.from_numpy((pixels - 128) / 128).float())
    assert _error(extractor(images), expected) < 5e-5  # places between pixels are known to float32
    assert (extractor.resize, extractor.is_fid) == ("legacy", False)


@pytest.mark.slow
@pytest.mark.parametrize(("resize", "mode"), [("clean", "clean"), ("legacy", "legacy_tensorflow")])
def test_the_inceptions_features_are_those_that_clean_fid_makes_of_the_same_file(
    tmp_path: Path, resize: str, mode: str
) -> None:
    """Pictures from files, through clean-fid's own reading, resizing and network."""
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    sha256 = write_stand_in(tmp_path / INCEPTION_FILE)
    images = _random(5, 80, 64)
    (tmp_path / "pictures").mkdir()
    for at, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "pictures" / f"{at}.png")
    network = InceptionV3W(str(tmp_path), download=False, resize_inside=resize == "legacy").eval()
    theirs = get_folder_features(
        str(tmp_path / "pictures"), network, num_workers=0, batch_size=5, device=CPU, mode=mode, verbose=False
    )
    ours = features._inception(tmp_path / INCEPTION_FILE, CPU, sha256, resize)(images)
    assert _error(ours, torch.from_numpy(theirs)) < 1e-6
