"""The perceptual loss: features are those of torchvision's VGG-16, the file is checked before it is opened."""

import dataclasses
import hashlib

import pytest
import torch
from torch.nn import functional

from models import perceptual, weights


@pytest.mark.slow
def test_it_is_the_distance_of_unit_features_of_torchvisions_network(tmp_path, monkeypatch):
    from torchvision.models import vgg

    torch.manual_seed(0)
    theirs = vgg.make_layers(vgg.cfgs["D"]).eval().requires_grad_(False)
    path = tmp_path / weights.REGISTRY["vgg16"].file
    torch.save({f"features.{name}": one for name, one in theirs.state_dict().items()}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = dataclasses.replace(weights.REGISTRY["vgg16"], sha256=sha256[:8])
    monkeypatch.setattr(weights, "REGISTRY", {**weights.REGISTRY, "vgg16": known})
    ours, found = perceptual.load(tmp_path)
    assert found == sha256
    images, others = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    expected = torch.zeros(())
    x = [(one / 2 + 0.5 - torch.tensor(perceptual.MEAN)[:, None, None]) for one in (images, others)]
    x = [one / torch.tensor(perceptual.SPREAD)[:, None, None] for one in x]
    last_of_stages = {3, 8, 15, 22, 29}  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
    for at, layer in enumerate(theirs):
        x = [layer(one.clone()) for one in x]
        if at in last_of_stages:
            a, b = (functional.normalize(one, dim=1, eps=1e-12) for one in x)
            expected = expected + (a - b).square().sum(1).mean()
    assert float(ours(images, others)) == pytest.approx(float(expected), rel=1e-3)
    assert float(ours(images, images)) == 0
    moved = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ours(moved, others), moved)
    assert float(gradient.abs().max()) > 0


def test_without_its_file_it_says_how_to_get_it(tmp_path):
    with pytest.raises(weights.WeightsError, match="lhq weights fetch vgg16"):
        perceptual.load(tmp_path)


@pytest.mark.slow
def test_a_file_of_another_network_is_refused(tmp_path, monkeypatch):
    path = tmp_path / weights.REGISTRY["vgg16"].file
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, path)
    known = dataclasses.replace(weights.REGISTRY["vgg16"], sha256=hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    monkeypatch.setattr(weights, "REGISTRY", {**weights.REGISTRY, "vgg16": known})
    with pytest.raises(weights.WeightsError, match="VGG-16"):
        perceptual.load(tmp_path)
