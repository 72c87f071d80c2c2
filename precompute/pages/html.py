"""Pages as single HTML files that ask for nothing from anywhere. Owns Jinja2."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from precompute.errors import UsageError, accessible
from precompute.pages.blocks import Page

__all__ = ["check_extra", "check_page", "render_page", "save_page"]

SUFFIXES = (".html", ".htm")
PACKAGES = {"jinja2": "Jinja2", "matplotlib": "matplotlib"}
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; "
    "form-action 'none'"
)


def check_extra() -> None:
    """Refuse, before any work, where a package of the extra is missing.

    Raises:
        UsageError: One is missing.
    """
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"a page needs {' and '.join(missing)}: pip install 'augment-once[report]'.")


def check_page(path: Path) -> None:
    """Refuse, before any work, a file that is no page's, and a page that cannot be made.

    Raises:
        UsageError: Its name has another ending, it is a folder, or a package of the extra is missing.
    """
    with accessible(path, UsageError, "written"):
        is_folder = path.is_dir()
    if path.suffix.lower() not in SUFFIXES or is_folder:
        raise UsageError(f"output: expected a file that ends with {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    check_extra()


def save_page(page: Page, path: Path) -> Path:
    """Write a page to a file; returns its path.

    Raises:
        UsageError: It cannot be written, or a package of the extra is missing.
    """
    check_page(path)
    content = render_page(page)
    with accessible(path, UsageError, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def render_page(page: Page) -> bytes:
    """Return a page as the content of a file.

    Everything in it is text that is escaped, but for charts and the page's own style and script. The browser is told to
    run no other script, and to ask for nothing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("precompute.pages")
    found: Any = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters.update(breakable=_breakable, coded=_coded)
    style, script = (loader.get_source(found, name)[0] for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = found.get_template("page.html").render(page=page, style=style, script=script, policy=POLICY.format(digest))
    return str(text).encode("utf-8", "replace")  # names of files may hold what is no Unicode


def _breakable(name: str) -> Any:
    """Return the name of a class of Python, escaped, with places where its line may be broken."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[./])", "\n", name).split("\n"))


def _coded(sentence: str) -> Any:
    """Return a sentence, escaped, with what stands between backticks as code."""
    from markupsafe import Markup

    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # a backtick of a name
        return Markup.escape(sentence)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))
