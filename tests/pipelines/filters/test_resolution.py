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
