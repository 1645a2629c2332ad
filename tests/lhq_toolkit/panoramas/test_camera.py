"""Every view of the camera is cut from the panorama, at even steps, and none is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import pixels, stream

from lhq_toolkit.panoramas import camera
from manifests.errors import MisuseError


@settings(max_examples=60, deadline=None)
@given(width=st.integers(16, 400), block=st.integers(1, 120), step=st.integers(1, 150))
def test_views_are_cut_at_even_steps(width: int, block: int, step: int) -> None:
    path = camera.Path(8, width, step)
    whole = pixels(8, width)
    views = list(path.views(stream(8, width, block)))
    assert len(views) == path.count
    for at, view in enumerate(views):
        assert np.array_equal(view, whole[:, at * step : at * step + path.view])
    assert (len(views) - 1) * step + path.view <= width < len(views) * step + path.view


@pytest.mark.parametrize(("height", "view"), [(8, 14), (64, 114), (256, 456), (1024, 1820)])
def test_a_view_is_16_to_9_and_even(height: int, view: int) -> None:
    assert camera.Path(height, 4000, 1).view == view


def test_the_speed_is_told_as_it_is() -> None:
    assert camera.path(64, 4000, 1.0) == camera.Path(64, 4000, 2)
    assert camera.path(64, 4000, 1.0).speed == pytest.approx(0.9375)
    assert camera.path(64, 4000, 0.01).step == 1


def test_a_panorama_narrower_than_a_view_is_refused() -> None:
    with pytest.raises(MisuseError, match="wider"):
        camera.path(64, 64, 1.0)
