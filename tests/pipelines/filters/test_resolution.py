"""The resolution stage compares the short side of the file, else the promised one, and keeps the unknown."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.filters.resolution import Resolution, ResolutionSettings

Size = tuple[int | None, int | None]


def _view(*rows: tuple[Size, Size]) -> pa.Table:
    """Rows of (file width, file height), (promised width, promised height)."""
    columns = {
        "file_width": [file[0] for file, _ in rows],
        "file_height": [file[1] for file, _ in rows],
        "width": [promised[0] for _, promised in rows],
        "height": [promised[1] for _, promised in rows],
    }
    return pa.table({name: pa.array(values, pa.int32()) for name, values in columns.items()})


NONE: Size = (None, None)


def test_the_short_side_decides_whichever_it_is() -> None:
    view = _view(((1024, 2000), NONE), ((2000, 1024), NONE), ((1023, 2000), NONE), ((2000, 1023), NONE))
    assert list(Resolution(ResolutionSettings()).decide(view)) == [
        (True, None, 1024.0),
        (True, None, 1024.0),
        (False, "short side below 1024", 1023.0),
        (False, "short side below 1024", 1023.0),
    ]


def test_the_file_counts_more_than_what_was_promised() -> None:
    view = _view(((640, 480), (6000, 4000)), ((6000, 4000), (640, 480)), (NONE, (640, 480)))
    verdicts = Resolution(ResolutionSettings()).decide(view)
    assert verdicts.keep == [False, True, False]
    assert verdicts.value == [480.0, 4000.0, 480.0]


def test_half_a_size_is_no_size() -> None:
    verdicts = Resolution(ResolutionSettings()).decide(_view(((300, None), (2000, 1500)), ((300, None), (None, 200))))
    assert list(verdicts) == [(True, None, 1500.0), (True, None, None)]


def test_a_photo_of_unknown_size_is_kept_without_a_value() -> None:
    assert list(Resolution(ResolutionSettings()).decide(_view((NONE, NONE)))) == [(True, None, None)]


def test_the_threshold_can_be_moved_and_is_named_in_the_reason() -> None:
    verdicts = Resolution(ResolutionSettings(min_side=256)).decide(_view(((256, 300), NONE), ((255, 300), NONE)))
    assert verdicts.reason == [None, "short side below 256"]


def test_an_empty_view_has_no_verdicts() -> None:
    assert list(Resolution(ResolutionSettings()).decide(_view())) == []


def test_a_threshold_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValidationError):
        ResolutionSettings(min_side=0)


def test_the_area_decides_where_it_is_asked_for_and_the_first_check_names_the_reason() -> None:
    stage = Resolution(ResolutionSettings(min_side=100, min_area=100_000))
    view = _view(((250, 400), NONE), ((250, 399), NONE), ((99, 5000), NONE), ((50, 50), NONE), (NONE, NONE))
    assert stage.decide(view).reason == [None, "area below 100000", *["short side below 100"] * 2, None]
    assert stage.decide(view).value == [250.0, 250.0, 99.0, 50.0, None]


def test_an_area_beyond_32_bits_is_counted_in_full() -> None:
    stage = Resolution(ResolutionSettings(min_area=4_000_000_000))
    assert stage.decide(_view(((70_000, 60_000), NONE), ((60_000, 60_000), NONE))).keep == [True, False]


def test_the_shape_is_width_over_height_and_its_bounds_are_kept() -> None:
    stage = Resolution(ResolutionSettings(min_side=1, min_aspect=0.5, max_aspect=3))
    view = _view(((50, 100), NONE), ((49, 100), NONE), ((300, 100), NONE), (NONE, (301, 100)), (NONE, NONE))
    assert stage.decide(view).reason == [None, "aspect ratio below 0.5", None, "aspect ratio above 3", None]


def test_an_empty_text_takes_a_bound_back_and_bounds_that_exclude_each_other_are_refused() -> None:
    nothing = ResolutionSettings.model_validate({"min_area": "", "min_aspect": "", "max_aspect": ""})
    assert nothing == ResolutionSettings()
    with pytest.raises(ValidationError, match="no photo fits"):
        ResolutionSettings(min_aspect=2, max_aspect=1)
    for wrong in ("0", "-1", "nan"):
        with pytest.raises(ValidationError):
            ResolutionSettings.model_validate({"max_aspect": wrong})
