"""Augmentation: each transformation is what it says, gradients of gradients go through, the strength is controlled."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from benchmarks import augment
from benchmarks.augment import Adaptive, Changes, colour_change, next_strength, way_back

SIZE = 32


def _number(value, count=1):
    return torch.full((count,), value, dtype=torch.float64)


def _way(zoom=1.0, first=0.0, stretch=1.0, second=0.0, offset=(0.0, 0.0)):
    return way_back(*map(_number, (zoom, first, stretch, second)), torch.tensor([offset], dtype=torch.float64))


def _colour(brightness=0.0, contrast=1.0, flipped=False, hue=0.0, saturation=1.0):
    other = (_number(brightness), _number(contrast), torch.tensor([flipped]))
    return colour_change(*other, _number(hue), _number(saturation))


def _changes(**changed):
    """None, but for those given, for one picture."""
    no = torch.tensor([False])
    nothing = Changes(no, torch.tensor([0]), torch.tensor([[0, 0]]), no, _way(), no, _colour())
    return dataclasses.replace(nothing, **{name: torch.as_tensor(value) for name, value in changed.items()})


def _noise(count=1, size=SIZE, dtype=torch.float32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def _smooth(size=SIZE):
    """A picture whose shortest wave is a quarter of it, and that is not symmetric. Flat at the edge, as mirrors are."""
    y, x = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2, indexing="ij")
    waves = [np.cos(np.pi * a * x) * np.cos(np.pi * b * y) for a, b in ((1, 2), (3, 1), (4, 3))]
    return torch.tensor(np.stack([waves[0], 0.5 * (waves[0] + waves[1]), waves[2]]))[None]


def _bits(images):
    return images.view(torch.int32)


def test_strength_0_gives_the_pictures_themselves_bit_for_bit():
    images = _noise(16)
    images[0] = -0.0
    for strength in (0, torch.tensor(0.0), torch.zeros((), dtype=torch.float64)):
        assert torch.equal(_bits(augment.augment(images, strength, 3, torch.arange(16))), _bits(images))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-4, 1)])
def test_mirror_turns_and_shifts_are_numpys_pixel_for_pixel(turns, mirrored, shift):
    images = _noise()
    expected = images[0].numpy()
    if mirrored:
        expected = expected[:, :, ::-1]
    expected = np.rot90(expected, turns, (1, 2))
    right, down = shift
    expected = np.pad(expected, ((0, 0), (8, 8), (8, 8)), "symmetric")
    expected = expected[:, 8 - down : 8 - down + SIZE, 8 - right : 8 - right + SIZE]
    changes = _changes(mirrored=[mirrored], turns=[turns], shift=[shift])
    assert np.array_equal(augment.apply(images, changes)[0].numpy(), expected)


@pytest.mark.parametrize(
    "way",
    [
        {"zoom": 1.3},
        {"zoom": 0.8},
        {"first": 0.4},
        {"first": -2.5},
        {"stretch": 1.2},
        {"offset": (2.3, -1.6)},
        {"zoom": 1.1, "first": 0.7, "stretch": 0.9, "second": -1.9, "offset": (-3.4, 0.7)},
    ],
    ids=str,
)
def test_resampling_a_smooth_picture_is_scipys_to_a_hundredth(way):
    """The reference: cubic splines, positions by matrices of its own. The pictures' range is 2."""
    images = _smooth()
    settings = {"zoom": 1.0, "first": 0.0, "stretch": 1.0, "second": 0.0, "offset": (0.0, 0.0)} | way

    def turned(angle):  # of columns (x, y), y downwards
        return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    stretched = np.diag([settings["stretch"], 1 / settings["stretch"]])
    forth = turned(settings["second"]) @ stretched @ turned(settings["first"]) * settings["zoom"]
    back = np.linalg.inv(forth)[::-1, ::-1]  # of (y, x)
    centre = np.full(2, (SIZE - 1) / 2)
    offset = centre - back @ (centre + settings["offset"][::-1])
    planes = [ndimage.affine_transform(plane, back, offset, order=3, mode="reflect") for plane in images[0].numpy()]
    found = augment.apply(images, _changes(moved=[True], back=_way(**way)))[0].numpy()
    assert np.abs(found - np.stack(planes)).max() < 0.02
    assert np.abs(found - images[0].numpy()).max() > 0.1


def test_flat_pictures_stay_flat_wherever_they_are_seen_from():
    images = torch.full((1, 3, SIZE, SIZE), 0.7)
    moved = augment.apply(images, _changes(moved=[True], back=_way(zoom=0.3, first=1.0, offset=(90.0, -55.0))))
    assert (moved - 0.7).abs().max() < 1e-5


def test_waves_that_a_smaller_picture_cannot_show_do_not_return_as_other_waves():
    """Stripes of 2.2 pixels, at 0.7 of the size: looked up linearly, which does alias, three times as much is left."""
    stripes = torch.cos(2 * math.pi / 2.2 * torch.arange(SIZE).double()).expand(1, 3, SIZE, SIZE)
    back = _way(zoom=0.7)
    inner = slice(6, -6)
    found = augment.apply(stripes, _changes(moved=[True], back=back))[0, 0, inner, inner]
    grid = torch.nn.functional.affine_grid(back * torch.tensor([1, 1, 0]), [1, 3, SIZE, SIZE], align_corners=False)
    linear = torch.nn.functional.grid_sample(stripes, grid, padding_mode="reflection", align_corners=False)
    assert found.std() < linear[0, 0, inner, inner].std() / 3
    assert found.std() < 0.1, "the stripes' own deviation is 0.7"


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"brightness": 0.3}, lambda x: x + 0.3),
        ({"contrast": 1.7}, lambda x: 1.7 * x),
        ({"flipped": True}, lambda x: x - 2 * x.mean(0)),
        ({"saturation": 2.5}, lambda x: x.mean(0) + 2.5 * (x - x.mean(0))),
        ({"hue": 1.1}, lambda x: Rotation.from_rotvec(1.1 / math.sqrt(3) * np.ones(3)).as_matrix() @ x),
        (
            {"brightness": 0.2, "contrast": 0.8, "flipped": True, "saturation": 0.5},
            lambda x: -0.8 * (x + 0.2).mean(0) + 0.5 * 0.8 * (x - x.mean(0)),
        ),
    ],
    ids=["brightness", "contrast", "flip", "saturation", "hue", "four together"],
)
def test_colours_change_as_the_plain_formulas_say(settings, reference):
    images = _noise(dtype=torch.float64)
    found = augment.apply(images, _changes(coloured=[True], colour=_colour(**settings)))
    expected = reference(images[0].flatten(1).numpy()).reshape(3, SIZE, SIZE)
    assert np.abs(found[0].numpy() - expected).max() < 1e-12


def test_gradients_and_their_gradients_are_those_of_finite_differences():
    changes = augment.draw(1.0, 5, torch.arange(2), 4)
    assert changes.moved.all()

    def changed(images):
        return augment.apply(images, changes)

    images = _noise(2, 4, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(changed, (images,))
    assert torch.autograd.gradgradcheck(lambda x: changed(x).square(), (images,), fast_mode=True)


def test_r1_through_it_is_the_same_by_function_transforms():
    """The penalty's gradient with respect to a discriminator's weight, by autograd.grad and by torch.func.grad."""
    images, index = _noise(3, 8, torch.float64), torch.arange(3)
    weight = _noise(1, 8, torch.float64)[0].requires_grad_()

    def logits(weight, images):
        return (augment.augment(images, 1.0, 5, index) * weight).sum((1, 2, 3)).tanh().sum()

    def penalty(weight):
        return torch.func.grad(logits, 1)(weight, images).square().sum()

    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(logits(weight, leaf), leaf, create_graph=True)
    (expected,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(torch.func.grad(penalty)(weight.detach()), expected, rtol=1e-10, atol=1e-12)


def test_a_picture_is_changed_alike_whatever_else_is_in_its_batch():
    images, index = _noise(12), torch.arange(100, 112)
    rows = torch.tensor([7, 2, 9])
    together, alone = augment.draw(0.7, 1, index, SIZE), augment.draw(0.7, 1, index[rows], SIZE)
    for field in dataclasses.fields(Changes):
        assert torch.equal(getattr(together, field.name)[rows], getattr(alone, field.name)), field.name
    found = augment.augment(images, 0.7, 1, index)
    assert torch.allclose(found[rows], augment.augment(images[rows], 0.7, 1, index[rows]), atol=1e-6)
    assert not torch.allclose(found, augment.augment(images, 0.7, 2, index), atol=0.1), "another seed, other changes"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_type_stay_and_double_precision_sees_the_same_picture(dtype):
    images, index = _noise(8), torch.arange(8)
    found = augment.augment(images.to(dtype), torch.tensor(0.8), 0, index)
    assert found.dtype == dtype
    assert found.shape == images.shape
    assert torch.allclose(found.float(), augment.augment(images, 0.8, 0, index), atol=1e-5)


@pytest.mark.parametrize("strength", [0.1, 0.6])
def test_each_transformation_is_as_probable_as_the_strength_says(strength):
    """Half of the mirrors and a quarter of the turns leave a picture as it is; two rotations count as one."""
    count = 20_000
    changes = augment.draw(strength, 4, torch.arange(count), 256)
    shares = {
        strength / 2: changes.mirrored,
        0.75 * strength: changes.turns != 0,
        strength * (1 - (1 / 64) ** 2): (changes.shift != 0).any(1),  # both may be rounded to 0
        1 - (1 - strength) ** 4: changes.moved,
        1 - (1 - strength) ** 5: changes.coloured,
        strength: (changes.back[:, :, :2].det() - 1).abs() > 1e-9,  # only a zoom changes the area
    }
    for expected, happened in shares.items():
        error = math.sqrt(expected * (1 - expected) / count)
        assert abs(float(happened.double().mean()) - expected) < 4 * error


def test_distributions_are_the_papers():
    """At strength 1, taken back out of the matrices. 20,000 draws: deviations to 0.5 %, so 3 % are six of these."""
    changes = augment.draw(1.0, 4, torch.arange(20_000), 256)
    linear, offset = changes.back[:, :, :2], changes.back[:, :, 2:]
    grey = changes.colour[:, :, :3].sum(2)[:, 0]  # contrast, negative where the luma is flipped
    across = changes.colour[:, :, :3].det() / grey**3  # saturation squared
    trace = changes.colour[:, :, :3].diagonal(dim1=1, dim2=2).sum(1) - grey
    deviations = {
        "zoom": (-linear.det().log() / 2, 0.2 * math.log(2)),
        "stretch": (torch.linalg.svdvals(linear).log()[:, 0] + linear.det().log() / -2, None),
        "fraction": (-torch.linalg.solve(linear, offset)[:, 0, 0], 0.125 * 256),
        "brightness": (changes.colour[:, 0, 3] / grey, 0.2),
        "contrast": (grey.abs().log(), 0.5 * math.log(2)),
        "saturation": (across.log() / 2, math.log(2)),
        "hue": (trace / (2 * grey.abs() * across.sqrt()), math.sqrt(0.5)),  # a cosine of any angle
        "shift": (changes.shift[:, 1].double(), 64 / math.sqrt(12)),
    }
    stretch = deviations.pop("stretch")[0]  # the larger of two inverse factors: the size of a normal number
    assert float(stretch.square().mean().sqrt()) == pytest.approx(0.2 * math.log(2), rel=0.03)
    for name, (numbers, deviation) in deviations.items():
        assert float(numbers.std()) == pytest.approx(deviation, rel=0.03), name
        assert abs(float(numbers.mean())) < 5 * deviation / math.sqrt(20_000), name
    assert float((grey < 0).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert changes.shift.abs().max() == 32


def test_the_strength_rises_to_1_in_its_kimg_and_falls_as_fast_but_never_leaves_0_to_1():
    strength, sure, unsure = torch.zeros(()), torch.tensor(0.9), torch.tensor(0.2)
    for _ in range(50):
        strength = next_strength(strength, sure, 0.6, 5_000, 500.0)
    assert float(strength) == pytest.approx(0.5, abs=1e-5)
    for _ in range(100):
        strength = next_strength(strength, sure, 0.6, 5_000, 500.0)
    assert float(strength) == 1
    assert float(next_strength(strength, unsure, 0.6, 5_000, 500.0)) == pytest.approx(0.99)
    assert float(next_strength(torch.zeros(()), unsure, 0.6, 5_000, 500.0)) == 0
    assert float(next_strength(torch.tensor(0.3), torch.tensor(0.6), 0.6, 5_000, 500.0)) == pytest.approx(0.3)


def test_the_strength_moves_every_fourth_batch_by_the_mean_sign_of_all_four():
    adaptive = Adaptive.start(torch.device("cpu"))
    batches = [[3.0, 0.5], [1.0, -2.0], [0.1, 7.0], [2.0, 2.0]]  # mean signs 1, 0, 1, 1: 0.75 on average
    for number, batch in enumerate(batches):
        assert float(adaptive.strength) == 0, number
        adaptive = adaptive.after(torch.tensor(batch).sign().mean(), len(batch), 0.6, 500.0)
    assert float(adaptive.strength) == pytest.approx(8 / 500_000)
    assert (float(adaptive.signs), adaptive.batches) == (0, 0)
    for batch in [*batches[:3], [-1.0, -1.0]]:  # 0.25
        adaptive = adaptive.after(torch.tensor(batch).sign().mean(), len(batch), 0.6, 500.0)
    assert float(adaptive.strength) == 0
