"""The ResNet of Algorithm 1 begins from a file, learns the same each time, and makes do with little memory."""

import pytest
import torch
from torch import Tensor, nn

from models import patch_classifier, resnet_classifier
from models.resnet_classifier import TILE_HEIGHT, TILE_WIDTH, Sizes


def _pictures(count: int, parts: int = 2) -> Tensor:
    """Noise; the parts differ in brightness from left to right, which anything can learn."""
    generator = torch.Generator().manual_seed(0)
    tiles = torch.randint(0, 128, (count, parts, 3, TILE_HEIGHT, TILE_WIDTH), generator=generator)
    return (tiles + 120 * torch.arange(parts).view(1, parts, 1, 1, 1) // (parts - 1)).to(torch.uint8)


def _pretrained() -> dict[str, Tensor]:
    return dict(resnet_classifier.build(Sizes("resnet18"), seed=1).state_dict())


def test_all_but_the_last_layer_is_taken_over() -> None:
    network, pretrained = resnet_classifier.build(Sizes("resnet18", parts=3), seed=0), _pretrained()
    before = network.state_dict()["fc.weight"].clone()
    resnet_classifier.begin(network, {name: tensor.half() for name, tensor in pretrained.items()})
    after = network.state_dict()
    assert torch.equal(after["layer4.1.conv2.weight"], pretrained["layer4.1.conv2.weight"].half().float())
    assert torch.equal(after["fc.weight"], before)
    assert after["fc.weight"].shape == (3, 512)


def test_files_without_counters_will_do_and_others_are_refused() -> None:
    network, pretrained = resnet_classifier.build(Sizes("resnet18"), seed=0), _pretrained()
    without = {name: tensor for name, tensor in pretrained.items() if not name.endswith("num_batches_tracked")}
    resnet_classifier.begin(network, without)
    with pytest.raises(ValueError, match=r"1 tensors are missing, such as layer1\.0\.conv1\.weight"):
        resnet_classifier.begin(
            network, {name: one for name, one in without.items() if name != "layer1.0.conv1.weight"}
        )
    with pytest.raises(ValueError, match="size mismatch"):
        resnet_classifier.begin(network, {**without, "conv1.weight": torch.zeros(64, 3, 3, 3)})


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    resnet_classifier.build(Sizes("resnet18"), seed=5)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.long
def test_it_learns_and_the_same_each_time() -> None:
    """In few steps from random weights, at a hundred times the published rates."""
    pictures, pretrained = _pictures(4), _pretrained()
    rates = resnet_classifier.BODY_RATE, resnet_classifier.HEAD_RATE
    resnet_classifier.BODY_RATE, resnet_classifier.HEAD_RATE = 1e-3, 1e-2
    try:
        first, second = (
            resnet_classifier.train(pictures, Sizes("resnet18", mirrored=False), 0, pretrained, epochs=6) for _ in "ab"
        )
    finally:
        resnet_classifier.BODY_RATE, resnet_classifier.HEAD_RATE = rates
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    first.train()  # statistics of the batch: the running ones are not there after six steps
    told = resnet_classifier.probabilities(first, list(pictures)).diagonal(dim1=1, dim2=2)
    assert told.mean() > 0.9


class _Small(nn.Module):
    """Says how bright a tile is, and has memory for so many tiles at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.tried = room, list[int]()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, tiles: Tensor) -> Tensor:
        self.tried.append(len(tiles))
        if len(tiles) > self.room:
            raise torch.OutOfMemoryError("no room")
        bright = tiles.mean((1, 2, 3))
        return torch.stack([-bright, bright], 1) * self.weight


def test_where_memory_is_short_the_batch_halves_and_the_answers_stay() -> None:
    pictures = list(_pictures(21)[..., :8, :8])
    plenty, little = _Small(1000), _Small(9)
    whole = resnet_classifier.probabilities(plenty, pictures)
    assert torch.allclose(whole, resnet_classifier.probabilities(little, pictures), rtol=0, atol=1e-6)
    assert whole.shape == (21, 2, 2)
    assert little.tried == [32, 16, 8, 8, 8, 8, 8, 2]
    with pytest.raises(torch.OutOfMemoryError):
        resnet_classifier.probabilities(_Small(1), pictures)


def test_a_picture_is_squeezed_and_cut_in_equal_parts() -> None:
    image = torch.arange(300, dtype=torch.float32).div(300).mul(255).round().to(torch.uint8)
    tiles = resnet_classifier.cut(image[None, :, None].expand(200, 300, 3).numpy(), 3)
    assert tiles.shape == (3, 3, TILE_HEIGHT, TILE_WIDTH)
    means = tiles.float().mean((1, 2, 3))
    assert torch.allclose(means, torch.tensor([42.0, 127.0, 212.0]), atol=1.0)
    assert torch.equal(patch_classifier.mirror(patch_classifier.mirror(tiles)), tiles)
