"""The crawl keeps every good picture as it came, however odd, and gives up every broken one with its reason."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from colours import ADOBE, matrix_profile
from crawling import HERE, crawl_folder, parts_of, rows_of, scene, write_all
from encoding import PNG, encode, png, png_chunk
from PIL import Image

from manifests import schema

pytestmark = pytest.mark.slow  # each runs the program several times


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds nothing."""
    return PNG + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + png_chunk(b"IEND", b"")


def broken_files() -> dict[str, bytes]:
    whole = encode(Image.fromarray(scene(160, 120)), "JPEG", quality=90)
    files = {f"cut{tenth}.jpg": whole[: len(whole) * tenth // 10] for tenth in range(1, 10)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a.txt", "a")
    frames = [Image.fromarray(scene(40, 30, seed)) for seed in range(3)]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0}
    return files | {
        "text.jpg": b"this is no picture\n" * 20,
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "zip.jpg": archive.getvalue(),
        "empty.jpg": b"",
        "huge.png": png_header_only(60_000, 60_000),
        "moving.gif": encode(frames[0], "GIF", **moving),
        "moving.png": encode(frames[0], "PNG", **moving),
        "moving.webp": encode(frames[0], "WEBP", **moving),
        "pages.tif": encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
    }


def test_every_broken_file_is_given_up_with_its_reason_and_nothing_of_it_is_kept(lhq, tmp_path):
    files = broken_files()
    folder = write_all(tmp_path / "broken", files)
    dataset = tmp_path / "d"
    ran = lhq(*crawl_folder(dataset, folder))
    assert ran.code == 0, ran.err
    assert ran.json["fetched"] == ran.json["failed"] == 0
    assert sum(ran.json["given_up"].values()) == len(files)
    rows = {row["photo_id"].rpartition("/")[2]: row for row in rows_of(dataset, "files")}
    assert rows.keys() == files.keys()
    for name, row in rows.items():
        assert row["status"] == schema.GIVEN_UP, name
        assert row["error"], name
        assert row["sha256"] is row["path"] is row["width"] is None, name
    for name, says in {
        "cut5.jpg": "cut short",
        "page.jpg": "not a JPEG",
        "empty.jpg": "empty",
        "huge.png": "million pixels",
        "moving.gif": "animation",
        "moving.png": "animation",
        "moving.webp": "animation",
        "pages.tif": "more than one picture",
    }.items():
        assert says in rows[name]["error"], name
    status = lhq("status", dataset, "--json").json
    assert status["photos"] == len(files)
    assert status["files"] == {"ok": 0, "failed": len(files)}
    assert status["curated"] == 0
    assert not [path for path in (dataset / "images").rglob("*") if path.is_file()]
    before = parts_of(dataset)
    assert lhq(*crawl_folder(dataset, folder)).code == 0
    assert parts_of(dataset) == before, "what was given up is not tried again"


@dataclass(frozen=True)
class Odd:
    data: bytes
    size: tuple[int, int]  # width and height as a viewer shows it
    extension: str  # by content


def odd_files() -> dict[str, Odd]:
    size = (96, 72)
    rgb = Image.fromarray(scene(*size))
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (72, 1)))
    rgba, la = rgb.copy(), rgb.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    turned = Image.Exif()
    turned[274] = 6
    wide = matrix_profile(ADOBE, 563 / 256)
    grey16 = Image.fromarray(np.linspace(0, 65_535, 96 * 72).astype(np.uint16).reshape(72, 96))
    palette = rgb.quantize(16)
    return {
        "cmyk.jpg": Odd(encode(rgb.convert("CMYK"), "JPEG"), size, "jpg"),
        "grey16.png": Odd(encode(grey16, "PNG"), size, "png"),
        "rgb16.png": Odd(png(*size, 16, 2, scene(*size).astype(">u2") * 257), size, "png"),
        "palette.png": Odd(encode(palette, "PNG", transparency=3), size, "png"),
        "rgba.png": Odd(encode(rgba, "PNG"), size, "png"),
        "la.png": Odd(encode(la, "PNG"), size, "png"),
        "wide.jpg": Odd(encode(rgb, "JPEG", icc_profile=wide), size, "jpg"),
        "wide.png": Odd(encode(rgb, "PNG", icc_profile=wide), size, "png"),
        "turned.jpg": Odd(encode(rgb, "JPEG", exif=turned), (72, 96), "jpg"),
        "dot.png": Odd(encode(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"), (1, 1), "png"),
        "strip.jpg": Odd(encode(Image.fromarray(scene(30_000, 8)), "JPEG"), (30_000, 8), "jpg"),
        "progressive.jpg": Odd(encode(rgb, "JPEG", progressive=True, quality=80), size, "jpg"),
        "lossy.webp": Odd(encode(rgb, "WEBP"), size, "webp"),
        "lossless.webp": Odd(encode(rgba, "WEBP", lossless=True), size, "webp"),
        "strips.tif": Odd(encode(rgb, "TIFF", compression="tiff_lzw"), size, "tif"),
        "plain.bmp": Odd(encode(rgb, "BMP"), size, "bmp"),
        "still.gif": Odd(encode(palette, "GIF"), size, "gif"),
        "trailing.jpg": Odd(encode(Image.fromarray(scene(*size, 1)), "JPEG") + b"\0" * 999, size, "jpg"),
        "misnamed.png": Odd(encode(Image.fromarray(scene(*size, 2)), "JPEG"), size, "jpg"),
        "misnamed.jpg": Odd(encode(Image.fromarray(scene(*size, 3)), "WEBP"), size, "webp"),
    }


def test_odd_but_good_files_are_kept_by_content_and_go_the_whole_road(lhq, tmp_path):
    files = odd_files()
    folder = write_all(tmp_path / "odd", {name: odd.data for name, odd in files.items()})
    dataset = tmp_path / "d"
    ran = lhq(*crawl_folder(dataset, folder))
    assert ran.code == 0, ran.err
    assert (ran.json["fetched"], ran.json["given_up"]) == (len(files), {})
    for row in rows_of(dataset, "files"):
        name = row["photo_id"].rpartition("/")[2]
        odd = files[name]
        assert (row["width"], row["height"]) == odd.size, name
        assert Path(row["path"]).suffix == f".{odd.extension}", name
        assert (dataset / row["path"]).read_bytes() == odd.data, name
        assert row["bytes"] == len(odd.data), name

    stages = ("--resolution", "--invariance", "--set", "resolution.min_side=1", "--set", "invariance.folds=2")
    filtered = lhq("filter", dataset, *stages, "--set", "invariance.threshold=1", *HERE, "--json")
    assert filtered.code == 0, filtered.err
    assert filtered.json["stages"]["resolution"]["kept"] == len(files)
    invariance = filtered.json["stages"]["invariance"]
    assert (invariance["errors"], invariance["pending"]) == (0, 0), invariance
    assert invariance["kept"] + invariance["rejected"] == len(files)
    assert filtered.json["measured"]["invariance"]["images"] == len(files)

    assert lhq("filter", dataset, "--subset", "all", "--resolution", "--set", "resolution.min_side=1").code == 0
    export = ("export", dataset, tmp_path / "out", "--format", "folder", "--resolution", 16, "--subset", "all")
    exported = lhq(*export, *HERE, "--json")
    assert exported.code == 0, exported.err
    assert (exported.json["pictures"], exported.json["errors"]) == (len(files), {})
