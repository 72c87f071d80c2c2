"""Text files from users: read in one way, and refused in one sentence where they are not UTF-8."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from precompute.errors import PrecomputeError, SourceError

__all__ = ["check_encoding", "decode_text", "guess_text", "lines_of", "read_text"]

_END_OF_LINE = re.compile(r"\r\n|\n|\r")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, error: type[PrecomputeError] = SourceError) -> str:
    """Return the text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Args:
        error: Class of the error that is raised where it cannot be read.

    Raises:
        PrecomputeError: Of the class `error`: there is no such file, it cannot be read, or it is in another encoding.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise error(f"{path}: there is no such file.") from None
    except OSError as reason:
        raise error(f"{path}: cannot be read: {reason.strerror or reason}.") from reason
    return decode_text(content, path, error)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text. Only newlines end one: other line ends of Unicode may stand in a file's name."""
    return _END_OF_LINE.split(text)


def guess_text(content: bytes) -> str:
    """Return a text by which the kind of a file can be told; bytes that are not in its encoding are replaced."""
    return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig", errors="replace")


def decode_text(content: bytes, path: Path, error: type[PrecomputeError] = SourceError) -> str:
    """Return the text of a file whose bytes were read already; see `read_text`."""
    return content.decode(check_encoding(content, path, error))


def check_encoding(content: bytes, path: Path, error: type[PrecomputeError] = SourceError) -> str:
    """Return the name of a text's encoding, as its first bytes tell: ``"utf-8-sig"`` or ``"utf-16"``.

    Raises:
        PrecomputeError: Of the class `error`: these bytes are another encoding's; the first such byte is named.
    """
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    try:
        content.decode(encoding)
    except UnicodeDecodeError as reason:
        line, shown = content.count(b"\n", 0, reason.start) + 1, encoding.removesuffix("-sig").upper()
        raise error(
            f"{path}: line {line}: byte 0x{content[reason.start]:02x} is no {shown}: the file was saved in "
            "another encoding, such as that of Windows. Save it as UTF-8 (in a spreadsheet, 'CSV UTF-8'; or "
            f"`iconv -f WINDOWS-1252 -t UTF-8 {path.name}`)."
        ) from reason
    return encoding
