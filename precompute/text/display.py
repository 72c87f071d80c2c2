"""How results show themselves: as a few lines where they are printed, as HTML in a notebook's cell."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

__all__ = ["Displayed", "Html", "html_image", "html_lines", "html_table", "html_text"]


class Html(str):
    """HTML that goes into a page as it is; any other text is escaped."""

    __slots__ = ()


class Displayed:
    """A result that prints as its summary and that notebooks show as HTML.

    Dataclasses of this kind are declared with `repr=False`.
    """

    def summary(self) -> str:
        """Return a few lines for people."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return str(self)

    def _html(self) -> Iterator[Html]:
        """Yield the parts of the HTML: tables, pictures, text; by default the printed lines."""
        yield html_text(str(self))

    def _repr_html_(self) -> str:
        return "\n".join(f"<div>{part}</div>" for part in self._html())


def html_text(text: str) -> Html:
    """Return lines of text as they are printed, the long ones wrapped."""
    return Html(f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>')


def html_lines(*texts: str) -> Html:
    """Return texts one under the other, without the empty ones."""
    return Html("<br>".join(_part(text) for text in texts if text))


def html_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """Return a table.

    Args:
        heads: Heading of each column; none where empty.
        rows: Cells of each row: texts, which are escaped, or `Html`.
    """
    head = "".join(f"<th>{_part(text)}</th>" for text in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{_part(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return Html(f"<table>\n{f'<thead><tr>{head}</tr></thead>' if head else ''}\n<tbody>\n{body}\n</tbody>\n</table>")


def html_image(content: bytes, kind: str, description: str = "") -> Html:
    """Return a picture that the page itself holds.

    Args:
        content: Bytes of the file.
        kind: ``"jpeg"`` or ``"png"``.
        description: Text where the picture cannot be seen.
    """
    data = base64.b64encode(content).decode()
    return Html(f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(description)}">')


def _part(content: Any) -> str:
    return content if isinstance(content, Html) else html.escape(str(content))
