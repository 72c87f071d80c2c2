"""References of Python files to what moves: imports, dotted names, strings, comments, places relative to the file."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from move_modules_tables import MoveError, Moves
from move_modules_text import homes_of, move_text, rename_in_ticks, rename_words

TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
FIELD = re.compile(r"(?<!\{)\{(?!\{)[^{}]*")  # of an f-string
TABLE = "ALLOWED"
GETTERS = {"setattr", "getattr", "hasattr", "delattr", "object"}

Span = tuple[int, int]


class Source:
    """A file's text, what is to be written in the place of parts of it, and its syntax tree."""

    def __init__(self, text: str) -> None:
        self.text, self.tree, self._edits = text, ast.parse(text), dict[Span, str]()
        self._lines = list(io.StringIO(text))  # as `tokenize` cuts it
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """Return where a token is that `tokenize` found."""
        return self._starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt | ast.alias) -> Span:
        """Return where a node is; syntax trees count columns in bytes."""
        places = ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        start, end = (
            self.offset(line, len(self._lines[line - 1].encode()[:column].decode())) for line, column in places
        )
        return start, end

    def replace(self, span: Span, new: str) -> None:
        """Write something in the place of a part."""
        if self.text[slice(*span)] != new:
            self._edits[span] = new

    def current(self, span: Span) -> str:
        """Return what is written in the place of a part so far."""
        return self._edits.get(span, self.text[slice(*span)])

    def tokens(self) -> list[tokenize.TokenInfo]:
        """Return all tokens."""
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    def written(self) -> str:
        """Return the text with all that was replaced."""
        text = self.text
        for (start, end), new in sorted(self._edits.items(), reverse=True):
            text = text[:start] + new + text[end:]
        return text


def move_python(text: str, path: str, moves: Moves) -> str:
    """Return a Python file whose references lead to where things are afterwards."""
    source = Source(text)
    imports = [node for node in ast.walk(source.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        statements = list(_moved_statement(source, node, path, moves))
        if statements:
            source.replace(source.span(node), f"\n{' ' * node.col_offset}".join(statements))
    _move_chains(source, imports, moves)
    _move_table(source, moves)
    places = list(_move_places(source, path, moves))
    for token in source.tokens():
        if token.type in TEXTS:
            span = source.offset(*token.start), source.offset(*token.end)
            if not any(start <= span[0] and span[1] <= end for start, end in places):
                source.replace(span, move_text(source.current(span), moves))
    return source.written()


# Imports


def _moved_statement(source: Source, node: ast.Import | ast.ImportFrom, path: str, moves: Moves) -> Iterator[str]:
    """Yield the statements that take the place of one; none, if it stays as it is."""
    if isinstance(node, ast.Import):
        if any(alias.name in moves.modules for alias in node.names):
            yield from (_moved_import(source, alias, moves) for alias in node.names)
        return
    if node.level or node.module is None:
        raise MoveError(f"{path}:{node.lineno}: expected an absolute import.")
    homes: dict[str, list[str]] = {}
    for alias in node.names:
        home, new = homes_of(node.module, alias.name, moves)
        homes.setdefault(home, []).append(_imported(source, alias, new))
    (home, names), *more = homes.items()
    if not more and names == [_as_written(alias) for alias in node.names]:
        _replace_module(source, node, home)
        return
    if "#" in source.text[slice(*source.span(node))]:
        raise MoveError(f"{path}:{node.lineno}: this import falls apart, and has comments inside: do it by hand.")
    for home, names in homes.items():
        yield f"from {home} import {', '.join(names)}"


def _replace_module(source: Source, node: ast.ImportFrom, home: str) -> None:
    """Let an import come from elsewhere, and leave its names and comments as they stand."""
    start, _ = source.span(node)
    written = re.compile(r"from\s+([\w.]+)").match(source.text, start)
    assert written
    source.replace(written.span(1), home)


def _as_written(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _moved_import(source: Source, alias: ast.alias, moves: Moves) -> str:
    """Return ``import x`` afterwards; a module that was in no package is imported from the one it is in now."""
    new = moves.modules.get(alias.name, alias.name)
    if alias.asname or "." in alias.name or "." not in new:
        return f"import {new} as {alias.asname}" if alias.asname else f"import {new}"
    home, _, last = new.rpartition(".")
    return f"from {home} import {_imported(source, alias, last)}"


def _imported(source: Source, alias: ast.alias, new: str) -> str:
    """Return what stands behind ``import``; a module with a new name has it in the file too, where that is free."""
    if alias.asname or new == alias.name:
        return new if alias.asname in (None, new) else f"{new} as {alias.asname}"
    uses = _uses(source, alias.name)
    if uses is None or _uses(source, new) != [] or new in _imported_names(source):
        return f"{new} as {alias.name}"
    for span in uses:
        source.replace(span, new)
    return new


def _uses(source: Source, name: str) -> list[Span] | None:
    """Return where an imported name is used; None, if something else in the file has the same name."""
    spans = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id == name:
            span = source.span(node)
            if not isinstance(node.ctx, ast.Load) or source.text[slice(*span)] != name:
                return None
            spans.append(span)
        elif isinstance(node, ast.alias | ast.keyword):
            continue
        elif name in (getattr(node, "arg", None), getattr(node, "name", None)):
            return None
    return spans


def _imported_names(source: Source) -> set[str]:
    imports = [node for node in ast.walk(source.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


# The table of the test of imports: parts of a package, each with those that it may import


def _move_table(source: Source, moves: Moves) -> None:
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == TABLE:
            start, end = source.span(node)
            for token in source.tokens():
                span = source.offset(*token.start), source.offset(*token.end)
                if token.type == tokenize.STRING and start <= span[0] < end:
                    source.replace(span, rename_words(token.string, moves.units))


# Dotted names in code: precompute.errors.UsageError


def _move_chains(source: Source, imports: list[ast.Import | ast.ImportFrom], moves: Moves) -> None:
    statements = [source.span(node) for node in imports]
    dotted = {
        alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names if not alias.asname
    }
    roots = {name.partition(".")[0] for name in dotted} & moves.roots()
    for chain in _chains(source.tokens()):
        span = source.offset(*chain[0].start), source.offset(*chain[-1].end)
        if chain[0].string in roots and not any(start <= span[0] < end for start, end in statements):
            source.replace(span, moves.module(source.text[slice(*span)]))


def _chains(tokens: list[tokenize.TokenInfo]) -> Iterator[list[tokenize.TokenInfo]]:
    """Yield the tokens of each dotted name that stands on one line."""
    chain: list[tokenize.TokenInfo] = []
    before = ""
    for token in tokens:
        if chain and {token.string, chain[-1].string} > {"."} and token.type in (tokenize.NAME, tokenize.OP):
            chain.append(token)
        else:
            if len(chain) > 2:
                yield chain[: len(chain) - (chain[-1].string == ".")]
            chain = [token] if token.type == tokenize.NAME and before != "." else []
        before = token.string


# Places relative to the file: Path(__file__).parent / "golden"


def _move_places(source: Source, path: str, moves: Moves) -> Iterator[Span]:
    """Rewrite expressions of ``Path(__file__)`` to mean what they meant; yield where they stand."""
    new = moves.path(path)
    inner: set[ast.expr] = set()
    for node in ast.walk(source.tree):  # the outer ones come first
        if isinstance(node, ast.expr) and node not in inner and (place := _place(node, path)) is not None:
            inner |= {child for child in ast.walk(node) if isinstance(child, ast.expr)}
            span = source.span(node)
            written = source.text[slice(*span)]
            yield span
            after = moves.path(place)
            if after == _place(ast.parse(written, mode="eval").body, new):
                continue
            source.replace(span, _written_place(after, new, resolved=".resolve()" in written))


def _place(node: ast.expr, path: str) -> str | None:
    """Return the path that an expression of ``Path(__file__)`` stands for, from the root of the repository."""
    match node:
        case ast.Call(func=ast.Name(id="Path"), args=[ast.Name(id="__file__")]):
            return path
        case ast.Call(func=ast.Attribute(value=base, attr="resolve"), args=[]):
            return _place(base, path)
        case ast.Call(func=ast.Attribute(value=base, attr="with_name"), args=[ast.Constant(value=str(name))]):
            return _above(_place(base, path), 1, name)
        case ast.Attribute(value=base, attr="parent"):
            return _above(_place(base, path), 1)
        case ast.Subscript(value=ast.Attribute(value=base, attr="parents"), slice=ast.Constant(value=int(n))):
            return _above(_place(base, path), n + 1)
        case ast.BinOp(left=base, op=ast.Div(), right=ast.Constant(value=str(name))):
            return _above(_place(base, path), 0, name)
    return None


def _above(path: str | None, levels: int, name: str = "") -> str | None:
    if path is None:
        return None
    parts = PurePosixPath(path).parts
    return str(PurePosixPath(*parts[: len(parts) - levels], name)) if len(parts) >= levels else None


def _written_place(place: str, path: str, *, resolved: bool) -> str:
    """Return an expression for a path, in a file that lies at another one."""
    folders = list(PurePosixPath(path).parents)
    common = next(folder for folder in folders if PurePosixPath(place).is_relative_to(folder))
    levels, rest = folders.index(common), PurePosixPath(place).relative_to(common)
    start = f"Path(__file__){'.resolve()' if resolved else ''}.{f'parents[{levels}]' if levels else 'parent'}"
    return f'{start} / "{rest}"' if rest.parts else start


# Identifiers


def rename_python(text: str, names: Mapping[str, str], roots: set[str]) -> str:
    """Return a Python file in which identifiers have their new names; roots: the packages of the project."""
    source = Source(text)
    spelled = {source.span(node) for node in _spelled(source.tree)}
    dotted = re.compile(rf"(?<![\w.])(?:{'|'.join(sorted(roots))})(?:\.\w+)+")
    for token in source.tokens():
        span = source.offset(*token.start), source.offset(*token.end)
        if token.type == tokenize.NAME or span in spelled:
            source.replace(span, rename_words(token.string, names))
        elif token.type in TEXTS:
            new = _rename_fields(token.string, names)
            new = dotted.sub(lambda match: rename_words(match[0], names), new)
            source.replace(span, rename_in_ticks(new, names))
    return source.written()


def _spelled(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield strings that are names: ``monkeypatch.setattr(module, "name", …)``, and what `__all__` lists."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, ast.Constant() as text, *_]):
                if name in GETTERS and isinstance(text.value, str):
                    yield text
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=texts)):
                yield from texts


def _rename_fields(text: str, names: Mapping[str, str]) -> str:
    """Return a string in which names between the braces of an f-string are the new ones, those in quotes left alone."""
    if "f" not in re.split("['\"]", text.lower(), maxsplit=1)[0]:
        return text
    return FIELD.sub(lambda field: "".join(_outside_quotes(field[0], names)), text)


def _outside_quotes(field: str, names: Mapping[str, str]) -> Iterator[str]:
    for i, part in enumerate(re.split(r"('[^']*'|\"[^\"]*\")", field)):
        yield part if i % 2 else rename_words(part, names)
