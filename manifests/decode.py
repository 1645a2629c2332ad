"""Any picture file as 8-bit sRGB pixels, the right way up: the only place where image data is decoded.

JPEGs go through simplejpeg (libjpeg-turbo told to report damage), the rest and the exotic JPEGs through Pillow,
colours through lcms2. The same bytes give the same pixels whatever was decoded before.
"""

import functools
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageCms, JpegImagePlugin

from manifests.errors import InputError
from manifests.modes import ICC_SPACES, split
from manifests.probe import MAX_PIXELS, Header, probe
from manifests.walks import png_chunks

Pixels = npt.NDArray[np.uint8]

# Pillow warns above its own limit and refuses above twice that (179 megapixels). Set to ours, which probe() has
# enforced before Pillow sees a byte, it neither warns nor fails here, and still guards the rest of the process.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

DAMAGED = "the image data is damaged, or of a kind that cannot be decoded"
SHORT_DATA = "the image data ends before the picture does"
WRONG_SIZE = "the decoded picture is not of the size that its header tells"

# Some cameras pad the coded data before the end marker; libjpeg calls that corrupt. A few bytes are padding,
# many are the remains of a stream that lost its place.
_PADDING = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
MAX_PADDING = 8  # bytes

_SRGB = ImageCms.createProfile("sRGB")
# Relative colorimetric: a colour that both spaces have comes out exactly, white stays white, and the result does
# not hang on a vendor's taste as perceptual tables do. Black point compensation keeps the shadows of print
# profiles apart and changes nothing for the matrix profiles of cameras and screens. The finer table keeps LAB and
# CMYK within a level (6 without); it is built once a profile.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC
SAME_LEVELS = 2  # a profile that never moves a colour by more than this is taken for sRGB itself


def decode(data: bytes, min_side: int | None = None) -> Pixels:
    """Pixels uint8 [height, width, 3], sRGB, C-contiguous, writable, with the EXIF orientation applied.

    With min_side (pixels) a JPEG is decoded at 1/8, 1/4 or 1/2, the smallest whose short side is still at least
    min_side, and in full where the picture is smaller; other formats are always decoded in full. Embedded
    profiles are applied, except those that are broken or meant for other channels, which are ignored as browsers
    do. Transparency is laid over white. Raises InputError for what probe() refuses and for damage met on the way.
    """
    if min_side is not None and min_side < 1:
        raise ValueError(f"min_side is {min_side}, at least 1 pixel is needed")
    header = probe(data)
    width, height = header.width, header.height
    if header.orientation > 4:
        width, height = height, width  # as stored
    if header.format == "jpeg":
        scale = _jpeg_scale(min(width, height), min_side)
        width, height = -(-width // scale), -(-height // scale)
        pixels = _decode_jpeg(data, width, height, scale)
    else:
        pixels = _decode_other(data, header)
    if header.format == "tiff":  # Pillow has turned it already
        return _checked(pixels, header.width, header.height)
    return _orient(_checked(pixels, width, height), header.orientation)


def _checked(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape != (height, width, 3):
        raise InputError(WRONG_SIZE)
    return pixels


@contextmanager
def _damage_is_input_error() -> Iterator[None]:
    """Turns what Pillow raises into InputError: on damaged bytes that is nearly any exception there is.

    Running out of memory is not the picture's fault.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(DAMAGED) from error


# JPEG ------------------------------------------------------------------------------------------------------


def _jpeg_scale(short_side: int, min_side: int | None) -> int:
    """The largest of 8, 4, 2, 1 by which the short side (pixels) can be divided and stay at least min_side."""
    if min_side is None:
        return 1
    return next((scale for scale in (8, 4, 2) if -(-short_side // scale) >= min_side), 1)


def _decode_jpeg(data: bytes, width: int, height: int, scale: int) -> Pixels:
    """Pixels [height, width, 3] of a JPEG at 1/scale of its stored size."""
    with _damage_is_input_error():
        # The class itself, not Image.open(), which also looks for further pictures behind the first.
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        icc = image.info.get("icc_profile")
    try:
        channels = simplejpeg.decode_jpeg_header(data)[2]
    except ValueError:  # a sampling or a stray byte that TurboJPEG's header reader does not take
        with _damage_is_input_error():
            if scale > 1:
                image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
            image.load()
        return _to_pixels(_to_srgb(image, icc))
    space = {"CMYK": "CMYK", "YCCK": "CMYK", "Gray": "GRAY"}.get(channels, "RGB")
    if space == "GRAY" and not _fits(icc, "L"):
        space = "RGB"
    pixels = _turbo(data, space, width, height, scale)
    if space == "RGB" and not _changes_colour(icc, "RGB"):
        return pixels
    if space == "CMYK":
        np.subtract(255, pixels, out=pixels)  # stored inverted, as Adobe does and every reader assumes
    mode = "L" if space == "GRAY" else space
    image_in_space = Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)
    return _to_pixels(_to_srgb(image_in_space, icc))


def _turbo(data: bytes, space: str, width: int, height: int, scale: int) -> Pixels:
    """Channels [height, width, channels]; every libjpeg warning but a little padding at the end is damage."""
    limits = {"min_height": height, "min_width": width} if scale > 1 else {}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, space, **limits)
    except ValueError as error:
        padding = _PADDING.search(str(error))
        if padding is None or int(padding[1]) > MAX_PADDING:
            raise InputError(DAMAGED) from error
        pixels = simplejpeg.decode_jpeg(data, space, strict=False, **limits)
    if pixels.shape[:2] != (height, width):
        raise InputError(WRONG_SIZE)
    return pixels


# Everything else -------------------------------------------------------------------------------------------


def _decode_other(data: bytes, header: Header) -> Pixels:
    """Pixels [height, width, 3] of a picture that Pillow reads, its transparency laid over white."""
    with _damage_is_input_error():
        image = Image.open(io.BytesIO(data), formats=[header.format.upper()])
        image.info.pop("xmp", None)  # Pillow would also turn a TIFF by its XMP orientation, against EXIF's word
        image.load()
        if header.format == "png":
            _check_png_rows(data, image)
        icc = image.info.get("icc_profile")
        colours, opacity = split(image, data[24] if header.format == "png" else 8)
    result = _to_srgb(colours, icc if isinstance(icc, bytes) else None)
    if opacity is not None:
        white = Image.new("RGB", result.size, (255, 255, 255))
        white.paste(result, mask=opacity)
        result = white
    return _to_pixels(result)


def _check_png_rows(data: bytes, image: Image.Image) -> None:
    """InputError if the compressed data ends early: Pillow leaves the missing rows at 0 and says nothing.

    Only a picture whose last row is 0 (or that comes interlaced) is worth inflating once more to count.
    """
    width, height = image.size
    interlaced = bool(data[28])
    if not interlaced and np.asarray(image.crop((0, height - 1, width, height))).any():
        return
    pixel_bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[data[25]] * data[24]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    missing = 0
    for left, top, step_x, step_y in passes if interlaced else [(0, 0, 1, 1)]:  # Adam7
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        missing += rows * (1 + (columns * pixel_bits + 7) // 8) if columns > 0 else 0
    inflater = zlib.decompressobj()
    for name, start, length in png_chunks(data):
        pending = data[start : start + length] if name == b"IDAT" else b""
        while pending and missing > 0:
            missing -= len(inflater.decompress(pending, 1 << 20))
            pending = inflater.unconsumed_tail
    if missing > 0:
        raise InputError(SHORT_DATA)


# Colour and geometry ---------------------------------------------------------------------------------------


def _fits(icc: bytes | None, mode: str) -> bool:
    """Whether a profile is about these channels: its header says so in bytes 16..19 (ICC.1, table 17)."""
    return icc is not None and icc[16:20] == ICC_SPACES[mode]


def _changes_colour(icc: bytes | None, mode: str) -> bool:
    return icc is not None and _transform(icc, mode) is not None


@functools.lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile to sRGB; None where the profile is broken, unfitting or as good as sRGB itself."""
    if not _fits(icc, mode):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        transform = ImageCms.buildTransform(profile, _SRGB, mode, "RGB", _INTENT, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode in ("RGB", "L"):
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        probes = Image.fromarray(np.ascontiguousarray(grid) if mode == "RGB" else grid[..., 0].copy())
        moved = np.asarray(_apply(probes, transform), np.int16) - np.asarray(probes.convert("RGB"), np.int16)
        if np.abs(moved).max() <= SAME_LEVELS:
            return None
    return transform


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _SRGB, "LAB", "RGB", _INTENT, _FLAGS)


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # only an in-place transform returns nothing
    return result


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """RGB from L, RGB, CMYK or LAB through the profile if it fits; CMYK without one as (1 - C)(1 - K)."""
    if image.mode == "L" and _fits(icc, "RGB"):
        image = image.convert("RGB")  # a grey picture in a colour space: its grey is R = G = B there
    transform = _transform(icc, image.mode) if icc is not None and image.mode in ICC_SPACES else None
    if transform is None and image.mode == "LAB":
        transform = _lab_transform()
    if transform is not None:
        return _apply(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_pixels(image: Image.Image) -> Pixels:
    """[height, width, 3] of an RGB image, in bands: a plain np.array() would hold the pixels twice."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 1024):
        pixels[top : top + 1024] = np.asarray(image.crop((0, top, width, min(top + 1024, height))))
    return pixels


def _orient(pixels: Pixels, orientation: int) -> Pixels:
    """The stored pixels [h, w, 3] turned and mirrored as EXIF's orientation 1..8 asks."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
