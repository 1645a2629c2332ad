"""The reference of a dataset's tables and of the stages' settings, from the schemas and the stages themselves."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from lhq_toolkit.site.markdown import code, table
from manifests import flat, schema
from pipelines.engine.stage import Stage
from pipelines.filters import OURS

_WORDS = {"string": "text", "bool": "true or false", "float": "float32", "double": "float64"}
_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}
_BOUNDS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))


def crawl_tables() -> str:
    """`sightings`, `photos`, `files` and `tombstones`, each with its columns."""
    return "\n\n".join(f"### {name}\n\n{columns(one)}" for name, one in schema.STATED.items())


def measurement_tables() -> str:
    """What all tables of measurements have in common, and each image stage's own columns."""
    parts = ["### measurements_STAGE\n\n" + columns(schema.measurement_schema({}))]
    for name, stage in OURS.items():
        if stage.columns:
            own = pa.schema(schema.column(key, kind, stage.meanings[key]) for key, kind in stage.columns.items())
            parts.append(f"### {schema.measurement_table(name)}\n\n{columns(own)}")
    return "\n\n".join(parts)


def flat_manifest() -> str:
    """The columns that the flat manifest adds to those of `photos`."""
    fields = flat.columns(["STAGE"])
    return columns(pa.schema(list(fields)[len(schema.PHOTOS) :]))


def columns(fields: Iterable[pa.Field]) -> str:
    """A table of columns: name, type, whether it may be null, meaning."""
    rows = ((code(one.name), kind_of(one.type), "" if one.nullable else "never", schema.meaning(one)) for one in fields)
    return table(("column", "type", "null", "meaning"), rows)


def kind_of(kind: pa.DataType) -> str:
    """An Arrow type in words."""
    if pa.types.is_list(kind):
        return f"list of {kind_of(kind.value_type)}"
    if pa.types.is_fixed_size_list(kind):
        return f"list of {kind.list_size} {kind_of(kind.value_type)}"
    if pa.types.is_fixed_size_binary(kind):
        return f"{kind.byte_width} bytes"
    if pa.types.is_timestamp(kind):
        return f"time, {kind.tz}"
    return _WORDS.get(str(kind), str(kind))


def stage_settings() -> str:
    """Of every stage the settings that `lhq filter --set` takes."""
    return "\n\n".join(f"### {name}\n\n{_settings(name, stage)}" for name, stage in OURS.items())


def _settings(name: str, stage: type[Stage[Any]]) -> str:
    measuring = set(stage.settings_type().measuring())
    rows = (
        (
            code(f"{name}.{key}"),
            ", ".join([_value(field.annotation), *_bounds(field)]),
            _default(field.default),
            "measures anew" if key in measuring or key == "weights" else "decides again",  # other weights' hash counts
            field.description or "",
        )
        for key, field in stage.settings_type.model_fields.items()
    )
    return table(("setting", "value", "default", "changing it", "what it is"), rows)


def _default(value: Any) -> str:
    if value in (None, ""):
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def _value(annotation: Any) -> str:
    """The kind of value that a setting takes, in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return ", ".join([_value(get_args(annotation)[0]), *_bounds(FieldInfo.from_annotation(annotation))])
    if origin is Literal:
        return " or ".join(code(one) for one in get_args(annotation))
    if origin in (Union, types.UnionType):
        (inner,) = (one for one in get_args(annotation) if one is not types.NoneType)
        return _value(inner)
    return _KINDS[annotation]


def _bounds(field: FieldInfo) -> Iterator[str]:
    for kind, attribute, words in _BOUNDS:
        for limit in field.metadata:
            if isinstance(limit, kind):
                yield f"{words} {getattr(limit, attribute):,}"
