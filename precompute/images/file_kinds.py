"""Which kinds of image files are decoded, and which endings their names usually have.

The endings are all that Pillow knows for the kinds that it decodes here, so that every readable image is found. Other
images are known by their endings too, so that they are mentioned when they are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from precompute.text.format import format_count

__all__ = ["FORMATS", "IMAGE_EXTENSIONS", "UNREADABLE", "ignored_files_text", "num_unreadable", "unreadable_text"]

# The kinds whose depth is known here. Pillow would cut others to 8 bits without an error, or start other programs.
# (A format must have been imported to be named.)
FORMATS = (
    BmpImagePlugin.BmpImageFile.format,
    GifImagePlugin.GifImageFile.format,
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    PpmImagePlugin.PpmImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
# In small letters, with their dot; the usual ones first. An .mpo is a camera's JPEG with a preview beside the picture.
_USUAL = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
_KNOWN = {extension for extension, kind in Image.EXTENSION.items() if kind in FORMATS} | {".mpo"}
IMAGE_EXTENSIONS = (*_USUAL, *sorted(_KNOWN - set(_USUAL)))

# Endings of pictures, films and arrays that are not decoded here.
UNREADABLE = frozenset(
    f".{name}"
    for names in (
        "heic heif hif avif jxl jp2 j2k jpx jpf j2c jpc tga dib ico icns cur pcx sgi rgb ras xbm xpm qoi dds exr hdr",
        "psd psb xcf svg eps ai pdf dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef srw x3f raw 3fr iiq",
        "mp4 m4v mov avi mkv webm mpg mpeg wmv npy npz mat h5 hdf5 dcm nii mha mhd nrrd fits fit czi lif nd2 svs ndpi",
    )
    for name in names.split()
)
SHOWN = 8


def unreadable_text(passed: Mapping[str, int]) -> str | None:
    """Return the note on images that cannot be decoded, from the number of files with each ending."""
    found = _ordered({extension: number for extension, number in passed.items() if extension in UNREADABLE})
    if not found:
        return None
    return f"{_listed(found, ' files')} cannot be decoded: convert them to JPEG or PNG."


def num_unreadable(passed: Mapping[str, int]) -> int:
    """Return how many of the files that were passed over are images of kinds that cannot be decoded."""
    return sum(number for extension, number in passed.items() if extension in UNREADABLE)


def ignored_files_text(passed: Mapping[str, int]) -> str:
    """Return the endings of other files that were passed over, each with its number; an empty text without any."""
    found = _ordered({extension: number for extension, number in passed.items() if extension not in UNREADABLE})
    return f" ({_listed(found)})" if found else ""


def _ordered(passed: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(passed.items(), key=lambda pair: (-pair[1], pair[0]))


def _listed(found: list[tuple[str, int]], noun: str = "") -> str:
    shown = [f"{number:,} {extension or 'without an ending'}" for extension, number in found[:SHOWN]]
    more = [format_count(sum(number for _, number in found[SHOWN:]), "other")] if len(found) > SHOWN else []
    return ", ".join([*shown, *more]) + noun
