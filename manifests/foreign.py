"""What a file is that is none of our formats, told from its first bytes, with what to do about it."""

from __future__ import annotations

_BEGINNINGS = (
    (b"8BPS", "a Photoshop file"),
    (b"gimp xcf", "a GIMP file"),
    (b"%PDF-", "a PDF file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"v/1\x01", "an OpenEXR file"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"IIRS", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"PK\x03\x04", "a zip archive"),
)
_BRANDS = {  # of ISO media files
    b"avif": "an AVIF file",
    b"avis": "an AVIF file",
    b"heic": "a HEIC file",
    b"heix": "a HEIC file",
    b"hevc": "a HEIC file",
    b"heim": "a HEIC file",
    b"heis": "a HEIC file",
    b"mif1": "a HEIC file",
    b"msf1": "a HEIC file",
    b"crx ": "a camera's raw file",
}
_LOOKED_AT = 512  # bytes, for the kinds of text


def told(data: bytes) -> str | None:
    """What it is, and what to do where it can be turned into a picture; None for what is not known here."""
    if data[4:8] == b"ftyp":
        return _convert(_media(data))
    if found := next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), None):
        return f"{found}: unpack it" if found == "a zip archive" else _convert(found)
    text = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--")) and b"<svg" in text):
        return _convert("an SVG drawing")
    return None


def _media(data: bytes) -> str:
    """Of an ISO media file, by its major brand and those that it says it is compatible with."""
    end = min(int.from_bytes(data[:4], "big"), 64)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    if b"avif" in brands:
        return _BRANDS[b"avif"]
    return _BRANDS.get(brands[0], "a video")


def _convert(kind: str) -> str:
    return kind if kind == "a video" else f"{kind}: convert it to JPEG or PNG"
