"""croissant.json: the export described for programs, as Croissant 1.1 (https://docs.mlcommons.org/croissant/)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.counts import plural
from manifests.licenses import normalise
from pipelines.export import rights
from pipelines.export.card import Content, pattern_of
from pipelines.export.format import PARTS, Part
from pipelines.export.rights import TABLE

FILE = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

_TERMS = (
    *("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
    *("replace", "samplingRate", "separator", "source", "subField", "transform", "arrayShape", "isArray"),
    *("containedIn", "equivalentProperty", "excludes", "unArchive", "value"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _TERMS},
}
_KINDS = {"zip": "application/zip", "tar": "application/x-tar", "parquet": "application/x-parquet"}


def describe(content: Content, sums: Mapping[str, str]) -> bytes:
    """JSON-LD. `sums`: sha256 by name of the files that stand in it one by one, the table among them."""
    facts = content.facts
    files = [_file(name, sums[name]) for name in content.holders if name.rpartition(".")[2] in _KINDS]
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": rights.plain(f"{facts['dataset']}-{facts['subset']}-{facts['resolution']}").replace(" ", "-"),
        "description": (
            f"{plural(content.pictures, 'picture')} of {facts['resolution']}x{facts['resolution']} pixels from "
            f"{plural(len(content.members), 'photo')}: subset {facts['subset']} of the dataset {facts['dataset']}, "
            f"exported by LHQ Toolkit {facts['toolkit']}. Author, licence and source of each are in {TABLE}."
        ),
        "conformsTo": CONFORMS_TO,
        "license": [_licence(name) for name in content.licences()],
        "version": "1.0.0",
        "identifier": facts["subset_hash"],
        "citeAs": f"Photographs by the authors named in {TABLE}, collected with LHQ Toolkit {facts['toolkit']}",
        "isLiveDataset": False,
        "creator": {"@type": "sc:Organization", "name": f"Authors named in {TABLE}"},
        "distribution": [_file(TABLE, sums[TABLE]), *files, *_sets(content)],
        "recordSet": [_table_records(), *_picture_records(content)],
    }
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def _licence(name: str) -> str:
    """Its page where one is known, else its identifier."""
    known = normalise(name)
    return known.url or name


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _KINDS.get(name.rpartition(".")[2], "text/csv"),
        "sha256": sha256,
    }


def _parts(content: Content) -> list[Part]:
    return [part for part in PARTS if content.part(part)]


def _picture_type(content: Content) -> tuple[str, str]:
    return ("image/png", "png") if content.facts["picture"] == "png" else ("image/jpeg", "jpg")


def _sets(content: Content) -> list[dict[str, Any]]:
    """The files of each part as a set: pictures, which may stand in archives, or Parquet files."""
    kind, suffix = _picture_type(content)
    found = []
    for part in _parts(content):
        holders = [name for name, its in content.holders.items() if its == part]
        one: dict[str, Any] = {"@type": "cr:FileSet", "@id": f"{part}-files", "name": f"{part}-files"}
        if content.facts["format"] == "parquet":
            one |= {"encodingFormat": _KINDS["parquet"], "includes": pattern_of(content, part)}
        elif content.facts["format"] == "folder":
            one |= {"encodingFormat": kind, "includes": pattern_of(content, part)}
        else:
            inside = [{"@id": name} for name in holders]
            one |= {"containedIn": inside, "encodingFormat": kind, "includes": f"*/*.{suffix}"}
        found.append(one)
    return found


def _table_records() -> dict[str, Any]:
    columns = [_field(f"attribution/{name}", "sc:Text", _column(name)) for name in (*rights.COLUMNS, "split")]
    return {
        "@type": "cr:RecordSet",
        "@id": "attribution",
        "name": "attribution",
        "description": "Author, licence and source of every picture.",
        "key": {"@id": "attribution/file"},
        "field": columns,
    }


def _column(name: str) -> dict[str, Any]:
    return {"fileObject": {"@id": TABLE}, "extract": {"column": name}}


def _picture_records(content: Content) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:RecordSet",
            "@id": part,
            "name": part,
            "description": f"The pictures of the part '{part}'.",
            "field": _picture_fields(content, part),
        }
        for part in _parts(content)
    ]


def _picture_fields(content: Content, part: Part) -> Sequence[dict[str, Any]]:
    files = {"fileSet": {"@id": f"{part}-files"}}
    if content.facts["format"] != "parquet":
        return [
            _field(f"{part}/image", "sc:ImageObject", {**files, "extract": {"fileProperty": "content"}}),
            _field(f"{part}/file", "sc:Text", {**files, "extract": {"fileProperty": "filename"}}),
        ]
    image = {**files, "extract": {"column": "image"}, "transform": {"jsonPath": "bytes"}}
    texts = [name for name in rights.FACTS if name != "crop"]
    return [
        _field(f"{part}/image", "sc:ImageObject", image),
        _field(f"{part}/crop", "sc:Integer", {**files, "extract": {"column": "crop"}}),
        *(_field(f"{part}/{name}", "sc:Text", {**files, "extract": {"column": name}}) for name in texts),
    ]


def _field(name: str, kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind, "source": source}
