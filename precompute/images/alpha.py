"""Alpha channels, and colours that a file calls transparent → opaque pixels, as --alpha says."""

from __future__ import annotations

from PIL import Image

from precompute.errors import RejectedSource

__all__ = ["bare_mask", "has_alpha", "is_opaque", "is_premultiplied", "straight", "true_transparency", "without_alpha"]

ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
GROUNDS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255)}
OPAQUE = (255, 255)
STRAIGHT_MODES = {"La": "LA", "RGBa": "RGBA"}
TIFF_EXTRA_SAMPLES, ASSOCIATED = 338, 1  # Source: TIFF 6.0, section 18


def has_alpha(picture: Image.Image) -> bool:
    """Return whether pixels may be transparent: by a channel, by a palette, or by a colour that means it."""
    return picture.mode in ALPHA_MODES or "transparency" in picture.info


def is_opaque(picture: Image.Image) -> bool:
    """Return whether a picture with alpha, in any of its forms, is opaque everywhere."""
    return picture.convert("RGBA").getchannel("A").getextrema() == OPAQUE


def is_premultiplied(picture: Image.Image) -> bool:
    """Return whether the file holds colours multiplied by their alpha, as some TIFF files do."""
    return ASSOCIATED in getattr(picture, "tag_v2", {}).get(TIFF_EXTRA_SAMPLES, ())


def straight(picture: Image.Image) -> Image.Image:
    """Return a picture whose colours are not multiplied by their alpha, in whatever mode Pillow has opened it."""
    return picture.convert(STRAIGHT_MODES[picture.mode]) if picture.mode in STRAIGHT_MODES else picture


def true_transparency(picture: Image.Image, bits: int) -> None:
    """Stretch the transparent grey of a PNG of 2 or 4 bits to 0…255, as Pillow does with its pixels."""
    key = picture.info.get("transparency")
    if picture.format == "PNG" and picture.mode == "L" and bits < 8 and isinstance(key, int):
        picture.info["transparency"] = key * (255 // (2**bits - 1))


def without_alpha(picture: Image.Image, alpha: str) -> tuple[Image.Image, bool]:
    """Return a picture in RGB of 8 bits per channel, and whether the removed alpha was opaque everywhere.

    Args:
        picture: Picture with alpha, in any of its forms.
        alpha: ``"opaque"``, ``"drop"``, or the colour to lay the picture on: ``"white"`` or ``"black"``.

    Raises:
        RejectedSource: Alpha has to be opaque, and is not.
    """
    whole = picture.convert("RGBA")
    opaque = whole.getchannel("A").getextrema() == OPAQUE
    if opaque or alpha == "drop":
        return whole.convert("RGB"), opaque
    if alpha not in GROUNDS:
        raise RejectedSource(
            "has an alpha channel, or a transparent colour, and is not opaque everywhere; records hold none: say with "
            "--alpha what becomes of it (drop, white or black), or keep it with --color-mode rgba"
        )
    return Image.alpha_composite(Image.new("RGBA", whole.size, GROUNDS[alpha]), whole).convert("RGB"), False


def bare_mask(picture: Image.Image, alpha: str) -> Image.Image:
    """Return a mask without its alpha channel. It is never laid on a colour, which would change ids and colours.

    Raises:
        RejectedSource: It has pixels that are not opaque, and the channel is not to be dropped, or the ids were
            multiplied by it.
    """
    premultiplied, picture = is_premultiplied(picture), straight(picture)
    if picture.mode not in ("RGBA", "LA"):
        return picture
    opaque = picture.getchannel("A").getextrema() == OPAQUE
    if premultiplied and not opaque:
        raise RejectedSource(
            "has transparent pixels, and its ids or colours are stored multiplied by their alpha, which does not give "
            "them back exactly; save it without an alpha channel"
        )
    if alpha != "drop" and not opaque:
        raise RejectedSource(
            "has transparent pixels, which have no class; save it without an alpha channel, or take it off with "
            "--alpha drop"
        )
    return picture.convert("L" if picture.mode == "LA" else "RGB")
