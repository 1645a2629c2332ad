"""The resolution stage: rejects a photo whose short side is too small."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.engine.stage import Stage, StageSettings, Verdicts


class ResolutionSettings(StageSettings):
    """How small a photo may be."""

    min_side: int = Field(1024, ge=1)  # pixels, of the shorter side


class Resolution(Stage[ResolutionSettings]):
    """Rejects a photo whose shorter side is below `min_side` pixels.

    The size is the file's, or before the download the one its source promises. Where neither is known
    nothing says that the photo is too small: it is kept, with no value.
    """

    name = "resolution"
    version = 1
    settings_type = ResolutionSettings

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from `file_width` and `file_height`, else `width` and `height`; the value is the short side."""
        short = pc.coalesce(
            _short_side(view.column("file_width"), view.column("file_height")),
            _short_side(view.column("width"), view.column("height")),
        )
        keep = pc.fill_null(pc.greater_equal(short, self.settings.min_side), True)
        too_small = f"short side below {self.settings.min_side}"
        return Verdicts(
            keep=keep.to_pylist(),
            reason=pc.if_else(keep, None, too_small).to_pylist(),
            value=pc.cast(short, pa.float64()).to_pylist(),
        )


def _short_side(width: pa.ChunkedArray, height: pa.ChunkedArray) -> pa.ChunkedArray:
    """The smaller of both, null where either is."""
    return pc.min_element_wise(width, height, skip_nulls=False)
