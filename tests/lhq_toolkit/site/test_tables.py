"""The references of tables, settings, weights and measurements of speed hold all there is, as the code has it."""

from __future__ import annotations

import ast
import re
from typing import Annotated, Literal

import pyarrow as pa
import pytest
from annotated_types import Gt
from pages import ROOT
from pydantic import Field

from benchmarks.perf import _all
from lhq_toolkit.site import extension, speeds, tables, weights
from manifests import flat, schema
from models.weights import REGISTRY
from pipelines.engine.stage import StageSettings, measuring
from pipelines.filters import OURS


def rows(text: str, heading: str = "") -> dict[str, list[str]]:
    """The cells of a table, by the first of each row; of the table below a heading where one is named."""
    below = text.split(f"### {heading}\n")[1].split("\n### ", maxsplit=1)[0] if heading else text
    lines = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in below.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): [cell.strip() for cell in cells] for cells in lines}


def test_every_table_of_a_dataset_stands_there_with_every_column_its_type_and_meaning():
    text = tables.crawl_tables()
    for name, columns in {**schema.CRAWL_TABLES, "tombstones": schema.TOMBSTONES}.items():
        found = rows(text, name)
        assert list(found) == columns.names
        for one in columns:
            _, kind, null, meaning = found[one.name]
            assert kind
            assert null == ("" if one.nullable else "never")
            assert len(meaning) > 5
            assert meaning == (one.metadata or {})[b"meaning"].decode()


def test_every_stage_that_measures_stands_there_with_its_columns():
    text = tables.measurement_tables()
    for name, stage in OURS.items():
        if stage.columns:
            found = rows(text, f"measurements_{name}")
            assert list(found) == list(stage.columns)
            assert all(cells[3] == stage.meanings[column] for column, cells in found.items())
    assert list(rows(text, "measurements_STAGE")) == schema.measurement_schema({}).names


def test_the_flat_manifest_is_told_but_for_what_the_table_of_photos_tells():
    told = list(rows(tables.flat_manifest()))
    assert [*schema.PHOTOS.names, *told] == flat.columns(["STAGE"]).names


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (pa.string(), "text"),
        (pa.list_(pa.string()), "list of text"),
        (pa.list_(pa.float32(), 4), "list of 4 float32"),
        (pa.binary(32), "32 bytes"),
        (pa.timestamp("us", tz="UTC"), "time, UTC"),
        (pa.int64(), "int64"),
        (pa.float64(), "float64"),
    ],
)
def test_types_in_words(kind, words):
    assert tables.kind_of(kind) == words


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_stage_stands_there_with_its_default(name):
    fields = OURS[name].settings_type.model_fields
    found = rows(tables.stage_settings(), name)
    assert list(found) == [f"{name}.{key}" for key in fields]
    for key, field in fields.items():
        _, value, default, changing, meaning = found[f"{name}.{key}"]
        assert value
        assert meaning, f"{name}.{key} does not say what it is"
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert default == f"`{field.default}`"
        assert changing in ("measures anew", "decides again")


def test_what_a_setting_takes_in_words():
    class Settings(StageSettings):
        share: float = Field(0.5, ge=0, lt=1, description="a share")
        network: Literal["a", "b"] = measuring("a", description="which")
        few: Annotated[int, Gt(2)] | None = Field(None, description="how many")
        on: bool = Field(True, description="whether")

    class Small(OURS["tags"]):  # type: ignore[misc, name-defined]
        settings_type = Settings

    found = {key: cells[1:4] for key, cells in rows(tables._settings("small", Small)).items()}
    assert found == {
        "small.share": ["number, at least 0, below 1", "`0.5`", "decides again"],
        "small.network": ["`a` or `b`", "`a`", "measures anew"],
        "small.few": ["whole number, above 2", "none", "decides again"],
        "small.on": ["true or false", "`true`", "decides again"],
    }


def test_every_pretrained_file_stands_there_with_size_and_licence():
    found = rows(weights.registry())
    assert list(found) == list(REGISTRY)
    for name, (_, needed_by, size, licence) in found.items():
        assert needed_by == REGISTRY[name].needed_by
        assert re.fullmatch(r"\d+ MiB|not published", size)
        assert licence == REGISTRY[name].licence


def test_every_measurement_of_speed_stands_there_with_its_command():
    found = re.findall(r"`python -m benchmarks\.perf\.(\w+)`", speeds.measurements())
    scripts = {path.stem for path in (ROOT / "benchmarks" / "perf").glob("*.py") if not path.stem.startswith("_")}
    assert set(found) == scripts
    assert len(found) == len(scripts)
    assert all(ast.get_docstring(ast.parse(one.read_text())) for one in _all.scripts(ROOT / "benchmarks" / "perf"))


def test_every_generated_part_stands_on_one_page_and_an_unknown_one_stops_the_build():
    asked = [
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text())
    ]
    assert sorted(asked) == sorted(extension.makers())
    with pytest.raises(KeyError):
        extension.filled_in("<!-- generated: nothing -->\n")


def test_a_link_to_a_file_outside_the_site_hands_it_out():
    assert extension.filled_in("see [this](../CONTRIBUTING.md), [that](crawl.md#keys)") == (
        "see {download}`this <../CONTRIBUTING.md>`, [that](crawl.md#keys)"
    )
