"""Are two datasets equal in the sense of the design: sorted by key, apart from times and part layout?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.dataset import Dataset
from manifests.tables import Table

KEYS = {
    "sightings": ["photo_id", "query"],
    "photos": ["photo_id"],
    "files": ["photo_id"],
    "tombstones": ["kind", "hash"],
}
MEASUREMENT_KEY = ["sha256", "fingerprint"]
TOLERANCE = 1e-5  # relative, for floats


def assert_equal_datasets(left: Path, right: Path) -> None:
    """Every table, image, fit, recipe and subset of both datasets."""
    names = sorted(path.name for path in (left / "tables").iterdir())
    assert names == sorted(path.name for path in (right / "tables").iterdir())
    for name in names:
        assert_equal_rows(_rows(left, name), _rows(right, name), name)
    for folder in ("images", "fits", "subsets"):
        assert files_of(left / folder, "*.parquet") == files_of(right / folder, "*.parquet"), folder


def _rows(root: Path, name: str) -> pa.Table:
    """The current view, sorted by key, as a plain reader of the parts sees it."""
    folder = root / "tables" / name / str(Dataset.open(root).generations.get(name, 1))
    parts = Table(folder, pa.schema([])).parts()
    assert parts, f"{folder} has no parts"
    rows = pa.concat_tables([pq.read_table(part.path) for part in parts]).to_pylist()
    key = KEYS.get(name, MEASUREMENT_KEY)
    latest = {tuple(row[column] for column in key): row for row in rows}
    return [latest[one] for one in sorted(latest)]


def assert_equal_rows(left: list[dict], right: list[dict], what: str) -> None:
    """Strings and integers exactly, floats to the tolerance, times not at all."""
    assert len(left) == len(right), what
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for column, value in one.items():
            if column.endswith("_at"):
                continue
            if isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float | list)):
                np.testing.assert_allclose(value, other[column], rtol=TOLERANCE, err_msg=f"{what}.{column}")
            else:
                assert value == other[column], f"{what}.{column}"


def files_of(folder: Path, *but: str) -> dict[str, str]:
    """Relative path -> sha256 of every file below a folder; a leftover of a killed write is no file of it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".tmp-" not in str(path) and not any(path.match(pattern) for pattern in but)
    }
