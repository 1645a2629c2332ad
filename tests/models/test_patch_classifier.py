"""The patch classifier learns where a tile lies, the same bytes each time, and does not invent what is not there."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from models import patch_classifier
from models.patch_classifier import TILE_HEIGHT, TILE_WIDTH, PatchClassifier, Sizes

SHAPE = (3, TILE_HEIGHT, TILE_WIDTH)


def _noise(count: int, parts: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, parts, *SHAPE), generator=generator).to(torch.uint8)


def _centred(count: int, parts: int = 2, seed: int = 0) -> Tensor:
    """Noise with a dark thing across the middle of the whole picture."""
    whole = torch.cat(list(_noise(count, parts, seed).unbind(1)), 3)
    middle = parts * TILE_WIDTH // 2
    whole[:, :, 8:28, middle - 7 : middle + 7] //= 6
    return torch.stack(whole.chunk(parts, 3), 1)


def _weights(network: PatchClassifier) -> bytes:
    return b"".join(value.numpy().tobytes() for value in network.state_dict().values())


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_of_a_picture_become_tiles_and_tiles_become_logits(parts: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (67, 101, 3), np.uint8)
    tiles = patch_classifier.cut(image, parts)
    assert tiles.shape == (parts, *SHAPE)
    assert tiles.dtype == torch.uint8
    network = patch_classifier.train(tiles[None].expand(3, -1, -1, -1, -1), Sizes(parts=parts), seed=0, steps=2)
    assert network(tiles.float() / 255).shape == (parts, parts)
    assert patch_classifier.probabilities(network, tiles[None]).shape == (1, parts, parts)


def test_a_tile_is_the_mean_of_the_pixels_it_covers() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4 * TILE_HEIGHT, 10 * TILE_WIDTH, 3), np.uint8)
    means = image.reshape(TILE_HEIGHT, 4, 2, TILE_WIDTH, 5, 3).mean((1, 4))  # [height, part, width, 3]
    tiles = patch_classifier.cut(image, 2).numpy()
    assert np.abs(tiles - means.transpose(1, 3, 0, 2)).max() <= 0.501


@pytest.mark.parametrize("size", [(1, 1), (64, 65), (300, 31)])
def test_mirroring_the_image_mirrors_the_whole_and_then_splits_it(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    tiles = patch_classifier.cut(image, 3)
    mirrored = patch_classifier.mirror(tiles)
    assert torch.equal(patch_classifier.cut(image[:, ::-1].copy(), 3), mirrored)
    assert torch.equal(mirrored[2], tiles[0].flip(2))


def test_augmentation_flips_whole_pictures_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts in different greys show who stands where: only the flip exchanges them."""
    monkeypatch.setattr(patch_classifier, "COLOUR_JITTER", 0.0)
    pictures = torch.empty(400, 2, *SHAPE)
    pictures[:, 0], pictures[:, 1] = 0.2, 0.6
    for flip, least, most in [(False, 0, 0), (True, 50, 200)]:
        out = patch_classifier.augment(pictures, torch.Generator().manual_seed(0), flip)
        left, right = out[:, 0].mean((1, 2, 3)), out[:, 1].mean((1, 2, 3))
        assert torch.allclose(left + right, torch.tensor(0.8), atol=1e-5)
        assert least <= int((left > 0.59).sum()) <= most  # a flipped one blended with a flipped one stays pure
        assert out.shape == pictures.shape


def _of_truth(network: patch_classifier.PatchClassifier, pictures: torch.Tensor) -> torch.Tensor:
    """For each part the probability of its true place: [n, parts]."""
    return patch_classifier.probabilities(network, pictures).diagonal(dim1=1, dim2=2)


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_mirrored_tile_is_looked_at_only_where_flips_are_on(mirrored: bool) -> None:
    pictures = _centred(12)
    network = patch_classifier.train(pictures, Sizes(mirrored=mirrored), seed=1, steps=20)
    p_true = _of_truth(network, pictures)
    of_mirrored = _of_truth(network, patch_classifier.mirror(pictures))
    assert torch.allclose(p_true, of_mirrored.flip(1), atol=1e-6) is mirrored


def test_a_thing_in_the_middle_is_told_and_noise_is_not() -> None:
    pictures = torch.cat([_centred(16, seed=0), _noise(48, seed=1)])
    network = patch_classifier.train(pictures, Sizes(), seed=0, steps=100)
    telling = _of_truth(network, _centred(100, seed=2))
    others = _of_truth(network, _noise(100, seed=3))
    assert float(telling.min()) > float(others.max())
    assert float(others.max()) < 0.95
    assert abs(float(others.mean()) - 0.5) < 0.1


def test_training_gives_the_same_bytes_whatever_the_threads_and_leaves_the_global_state_alone() -> None:
    pictures, before, threads = _centred(20), torch.get_rng_state(), torch.get_num_threads()
    first = patch_classifier.train(pictures, Sizes(), seed=3, steps=30)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(99)
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        again = patch_classifier.train(pictures, Sizes(), seed=3, steps=30)
    finally:
        torch.set_num_threads(threads)
    assert _weights(again) == _weights(first)
    assert _weights(patch_classifier.train(pictures, Sizes(), seed=4, steps=30)) != _weights(first)


@pytest.mark.slow
def test_a_score_does_not_depend_on_its_batch() -> None:
    pictures = _centred(33)
    network = patch_classifier.train(pictures, Sizes(), seed=0, steps=40)
    together = _of_truth(network, pictures)
    alone = torch.cat([_of_truth(network, picture[None]) for picture in pictures])
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)


def test_an_untrained_network_says_one_half() -> None:
    network = patch_classifier.train(_noise(0), Sizes(), seed=0)
    assert torch.equal(_of_truth(network, _noise(3)), torch.full((3, 2), 0.5))


def test_loaded_weights_score_the_same() -> None:
    pictures = _centred(9)
    network = patch_classifier.train(pictures, Sizes(width=4), seed=0, steps=10)
    loaded = patch_classifier.load(Sizes(width=4), network.state_dict())
    score = _of_truth
    assert torch.equal(score(loaded, pictures), score(network, pictures))


@pytest.mark.slow
def test_the_module_needs_torch_and_numpy_only() -> None:
    ours_and_heavy = "{'ray', 'pyarrow', 'pipelines', 'manifests'}"
    code = f"import sys, models.patch_classifier; assert not {ours_and_heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
