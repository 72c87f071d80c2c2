"""What an option may hold: values from the text of the command line, and checks with what was expected."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.text import is_unicode, on_one_line
from precompute.text_files import read_text

__all__ = [
    "BACKENDS",
    "check_backend",
    "check_choice",
    "check_number",
    "check_range",
    "check_seed",
    "check_timeout",
    "check_unicode",
    "format_names",
    "parse_bytes",
    "parse_class_copies",
    "parse_image_size",
    "parse_mask_map",
    "parse_names",
]

BACKENDS = ("loky", "threading", "sequential", "dask")  # not multiprocessing: it forks


def parse_mask_map(text: str) -> dict[int, int]:
    """Return {255: 1, 128: 2} of ``"255:1,128:2"``, and {3: 1, 4: 1, 5: 1} of ``"3-5:1"``."""
    ids: dict[int, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?\s*:\s*(\d{1,5})", part.strip())
        first, last, new = (int(number or match[1]) for number in match.groups()) if match else (1, 0, 0)
        if last < first:
            raise UsageError(f"mask_map: expected ids as from:to, such as 255:1,128:2 or 1-999:1, got {text!r}.")
        ids |= dict.fromkeys(range(first, last + 1), new)
    return ids


def parse_class_copies(text: str) -> dict[str, int]:
    """Return {"shoes": 3, "hats": 2} of ``"shoes=3,hats=2"``."""
    pairs = [part.rpartition("=") for part in parse_names(text)]
    if not all(name and number.isdecimal() for name, _, number in pairs):
        raise UsageError(f"class_copies: expected names and numbers, such as shoes=3,hats=2, got {text!r}.")
    return {name: int(number) for name, _, number in pairs}


def parse_bytes(text: str) -> int:
    """Return 67108864 of ``"64MiB"``; kB, MB, GB are powers of 1000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?)(i?)B?", text.strip())
    if not match:
        raise UsageError(f"shard_size: expected bytes such as 64MiB or 200MB, got {text!r}.")
    power = " KMG".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def parse_image_size(text: str | Sequence[str]) -> tuple[int, int]:
    """Return (height, width) of one number or two."""
    words = text.replace("x", " ").split() if isinstance(text, str) else list(text)
    if len(words) not in (1, 2) or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"image_size: expected one number or height and width, got {text!r}.")
    return int(words[0]), int(words[-1])


def parse_names(text: str) -> list[str]:
    """Return ["cat", "dog"] of ``"cat,dog"``; the one way in which options list names.

    Names that hold a comma stand in quotation marks, as in CSV: ``'"Pepper, bell",dog'``. ``"@names.txt"`` is a file
    with a name a line.

    Raises:
        UsageError: A quotation mark is not closed, or the file cannot be read.
    """
    if text.startswith("@"):
        lines = read_text(Path(text[1:]), UsageError).splitlines()
        return [line.strip() for line in lines if line.strip()]
    if text.count('"') % 2 or len(text.splitlines()) > 1:
        raise UsageError(f"expected names separated by commas, those with a comma in quotation marks; got {text!r}.")
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""])]


def format_names(names: Iterable[str]) -> str:
    """Return names as `parse_names` reads them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    first, comma, others = text.getvalue().partition(",")
    # A name that begins with @ stands in quotation marks, or it would name a file.
    return f'"{first}"{comma}{others}' if first.startswith("@") else text.getvalue()


def check_seed(seed: int) -> int:
    """Return the seed if a record can hold it.

    Raises:
        UsageError: It is not an integer from 0 to 2**63 − 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected an integer from 0 to 2**63 - 1, got {seed!r}.")
    return seed


def check_range(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is neither None nor an integer of the range.

    Raises:
        UsageError: It is not.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        expected = f"an integer from {low} to {high}" if high is not None else f"an integer of {low} or more"
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")


def check_number(name: str, value: Any, low: float, high: float = float("inf")) -> None:
    """Refuse what is no number of the range.

    Raises:
        UsageError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        expected = f"a number from {low} to {high}" if high < float("inf") else f"a number of {low} or more"
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse what is none of the choices.

    Raises:
        UsageError: It is none.
    """
    if value not in choices:
        raise UsageError(f"{name}: expected one of {', '.join(choices)}, got {value!r}.")


def check_backend(backend: Any, address: Any) -> None:
    """Refuse a backend that joblib does not know, and an address that does not go with it.

    Raises:
        UsageError: One of them is wrong.
    """
    if backend not in BACKENDS and not _is_registered(backend):
        raise UsageError(
            f"backend: expected one of {', '.join(BACKENDS)}, or from Python a name that was registered with "
            f"joblib.register_parallel_backend; got {backend!r}."
        )
    if backend == "dask" and address is None:
        raise UsageError(
            "address: backend dask needs that of the scheduler, as `dask scheduler` prints it, such as "
            "tcp://10.0.0.1:8786."
        )
    if address is None:
        return
    if backend != "dask":
        raise UsageError(f"address: is for backend dask; got backend {backend}.")
    if not isinstance(address, str) or not re.fullmatch(r"(\w+://)?\S+:\d+/?", address):
        raise UsageError(f"address: expected one such as tcp://10.0.0.1:8786, got {address!r}.")


def _is_registered(backend: Any) -> bool:
    """Tell whether joblib knows a backend, by somebody else, or one of its own that does not fork."""
    from joblib.parallel import BACKENDS as REGISTERED  # here, so that --help is quick

    return backend in REGISTERED and backend != "multiprocessing"


def check_timeout(seconds: Any, backend: str) -> None:
    """Refuse what is neither None nor a time, and a backend whose workers cannot be ended.

    Raises:
        UsageError: One of them is wrong.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise UsageError(f"task_timeout: expected seconds above 0, got {seconds!r}.")
    if backend != "loky":
        raise UsageError(
            f"task_timeout: needs backend loky, whose workers are processes that can be ended; got {backend}."
        )


def check_unicode(name: str, value: Any) -> None:
    """Refuse texts and paths, alone or in a list or dictionary, that a manifest cannot hold.

    Raises:
        UsageError: One is no UTF-8.
    """
    texts = map(str, value if isinstance(value, list | tuple | dict) else [value])
    foreign = next((text for text in texts if not is_unicode(text)), None)
    if foreign is not None:
        raise UsageError(
            f"{name} (--{name.replace('_', '-')}): {on_one_line(foreign)} is no UTF-8, and the manifest holds text; if "
            "it names a file or folder, rename that."
        )
