"""Pillow's many modes made few: any decoded picture as 8-bit colours that a profile can apply to, and opacity."""

from typing import Any

import numpy as np
from PIL import Image

ICC_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}  # the modes left, in ICC.1's words


def split(image: Image.Image, png_depth: int) -> tuple[Image.Image, Image.Image | None]:
    """Colours in a mode that a profile can apply to (L, RGB, CMYK, LAB), and opacity (L) where there is any.

    Apart, so that the profile is applied to the colours alone, before anything is mixed with white.
    """
    opacity: Image.Image | None = None
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "RGBA"):
        opacity = image.getchannel("A")
        return image.convert(image.mode[:-1]), opacity
    if "transparency" in image.info and image.mode in ("1", "L", "I;16", "RGB"):
        opacity = _opacity_of_key(image, image.info["transparency"], png_depth)
    if image.mode.startswith(("I", "F")):
        image = _wide_grey_to_8_bit(image)
    elif image.mode == "1":
        image = image.convert("L")
    return (image if image.mode in ICC_SPACES else image.convert("RGB")), opacity


def _opacity_of_key(image: Image.Image, key: Any, png_depth: int) -> Image.Image:
    """Opacity (0 or 255) where one colour or grey stands for transparent (PNG's tRNS, GIF).

    Pillow gives the key as stored, in the file's depth, but the pixels in 8 bits (or 16, for 16-bit grey).
    """
    wanted = np.atleast_1d(np.asarray(key, np.int64))
    if png_depth == 16 and image.mode == "RGB":
        wanted = wanted >> 8
    elif png_depth < 8 and image.mode == "L":
        wanted = wanted * (255 // ((1 << png_depth) - 1))
    if image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    if values.ndim == 2:
        transparent = values == wanted[0]
    else:
        transparent = np.logical_and.reduce([values[..., i] == wanted[i] for i in range(3)])
    return Image.fromarray(np.where(transparent, np.uint8(0), np.uint8(255)))


def _wide_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """L from grey of more than 8 bits: white is the largest number that the file's samples can hold.

    Floats run from 0 to 1, signed integers from 0. TIFF may count from white (PhotometricInterpretation 0).
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    bits, sample_format, photometric = (tags.get(tag) for tag in (258, 339, 262))
    if image.mode.startswith("I;16"):
        levels = np.arange(65_536) * (255 / (4095 if bits == (12,) else 65_535))
        grey = np.rint(levels).clip(0, 255).astype(np.uint8)[values]
    else:
        white = 1.0
        if image.mode == "I" and sample_format in (None, (1,)):
            values, white = values.view(np.uint32), 2.0**32 - 1
        elif image.mode == "I":
            white = 2.0**15 - 1 if bits == (16,) else 2.0**31 - 1
        scaled = np.nan_to_num(values / white).clip(0, 1)
        grey = np.rint(scaled * 255).astype(np.uint8)
    return Image.fromarray(255 - grey if photometric == 0 else grey)
