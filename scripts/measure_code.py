"""How large the code is, and how it hangs together: a table of measures, for this tree and for another revision.

    python scripts/measure_code.py                          a Markdown table of this tree
    python scripts/measure_code.py --against main           with a column of that revision, and the change
    python scripts/measure_code.py --tests                  counts test ids as well, which takes half a minute
    python scripts/measure_code.py --small                  lists small modules that one other module imports

**Tokens** are names, keywords, operators, brackets, numbers and strings. Comments, docstrings and blank space are none,
so that neither explaining more nor formatting otherwise changes the count. A string is one token, however long. An
f-string is one, and so is each token of the expressions in it: Python 3.12 reads them so, and 3.11 is made to.

**Lines that ask for the type of a field** are lines of `precompute` and `train` with one of:

- a comparison, a subscript or a `.get` with `kind`: ``target.kind == "mask"``, ``FORMATS[kind]``, where `kind` belongs
  to a target, sources or a spec, or is compared with the name of a field's type;
- `isinstance` with a class of fields' values: ``isinstance(boxes, Instances)``;
- a name `has_…` with a field's word in it: ``sources.has_mask_files``;
- ``is None`` or ``is not None`` behind a field's word: ``sources.masks is not None``.

Not looked at are the modules that hold fields, those that read them in tf.data, and the layouts that supply them.

**Circles** are groups of modules that all reach one another by imports, those inside functions and for type checkers
too.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from import_graph import PACKAGES, circles, imported_by, read_graph

ROOT = Path(__file__).resolve().parent.parent
SMALL = 60  # lines of code of a small module

COUNTED = {tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING}
F_START, F_END = (getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))  # of Python 3.12 and later

# Modules that may ask for the type of a field: a folder anywhere, or a file.
FIELD_FOLDERS = {"fields", "targets", "layouts", "annotations", "folders", "python", "tables"}
FIELD_READERS = {
    *(f"precompute/readers/tf/{name}.py" for name in ("fields", "objects")),
    # of earlier revisions
    *(f"precompute/readers/tf/{name}.py" for name in ("boxes", "extras", "images", "labels", "masks", "values")),
}
FIELD_TYPES = {"boxes", "class", "image", "instances", "keypoints", "mask", "multilabel"}
FIELD_OWNERS = {"boxes", "sources", "spec", "target"}
FIELD_CLASSES = {"BoxColumn", "Boxes", "InstanceColumn", "Instances", "Skeleton"} | {
    *("LabelColumn", "LabelSetColumn", "PathColumn", "ValueColumn"),
}
FIELD_WORDS = {
    *("box", "boxes", "keypoints", "points", "skeleton", "instances", "layers", "objects", "shapes", "mask", "masks"),
    *("label", "label_sets", "labels", "extra", "extras", "target", "weight", "weights"),
}


@dataclass(frozen=True)
class Measure:
    """One line of the table.

    Attributes:
        name: What is measured.
        value: The figure; None where it was not measured.
        where: The place that it was found at, or nothing.
    """

    name: str
    value: float | None
    where: str = ""

    def __str__(self) -> str:
        number = "–" if self.value is None else f"{self.value:,}"
        return f"{number} ({self.where})" if self.where else number


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        path: Below the root of the project, posix.
        text: What it holds.
    """

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def num_lines(self) -> int:
        """All lines, blank ones too."""
        return len(self.text.splitlines())

    @cached_property
    def docstring_lines(self) -> set[int]:
        """Numbers of the lines of strings that stand alone as a statement."""
        lines = set[int]()
        for node in ast.walk(self.tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str())):
                    lines.update(range(node.lineno, (node.end_lineno or 0) + 1))
        return lines

    @cached_property
    def tokens(self) -> list[tuple[int, str]]:
        """Line number and text of each token of code; a docstring has lines of its own, as the formatter sees to."""
        return [token for token in tokens_of(self.text) if token[0] not in self.docstring_lines]

    @cached_property
    def num_code_lines(self) -> int:
        """Lines on which a token of code begins."""
        return len({line for line, _ in self.tokens})

    def functions(self) -> Iterator[tuple[str, int]]:
        """Yield name and number of lines of each function, decorators left out."""
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, (node.end_lineno or 0) - node.lineno + 1


# Tokens


def tokens_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each token of code; of an f-string a token for itself, then those inside."""
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == F_START:
            start, depth = (start if depth else token.start), depth + 1
        elif token.type == F_END:
            depth -= 1
            if not depth:
                yield from _tokens_of_f_string(_between(text, start, token.end), start[0])
        elif depth or token.type not in COUNTED:
            continue
        elif token.type == tokenize.STRING and "f" in token.string.partition(token.string[-1])[0].lower():
            yield from _tokens_of_f_string(token.string, token.start[0])
        else:
            yield token.start[0], token.string


def _tokens_of_f_string(text: str, line: int) -> Iterator[tuple[int, str]]:
    yield line, text
    for node in _outermost(ast.parse(text, mode="eval").body):
        yield from ((line, inner) for _, inner in tokens_of(ast.unparse(node)))


def _outermost(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that stand in braces in an f-string and in its format specifications."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FormattedValue):
            yield child.value
            if child.format_spec is not None:
                yield from _outermost(child.format_spec)


def _between(text: str, start: tuple[int, int], end: tuple[int, int]) -> str:
    lines = text.splitlines(keepends=True)[start[0] - 1 : end[0]]
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][start[1] :]
    return "".join(lines)


# Questions for the type of a field


def lines_that_ask(module: Module) -> set[int]:
    """Return the numbers of the lines that ask for the type of a field."""
    *folders, _ = module.path.split("/")
    if FIELD_FOLDERS & set(folders) or module.path in FIELD_READERS:
        return set()
    return {node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.expr) and _asks(node)}


def _asks(node: ast.expr) -> bool:
    match node:
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return _name(left).strip("_") in FIELD_WORDS
        case ast.Compare():
            sides = [node.left, *node.comparators]
            return any(map(_is_kind, sides)) or (
                any(_name(side) == "kind" for side in sides) and any(map(_names_a_type, sides))
            )
        case ast.Subscript(slice=key):
            return _is_kind(key)
        case ast.Call(func=ast.Attribute(attr="get"), args=[key, *_]):
            return _is_kind(key)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, classes]):
            return any(_name(part) in FIELD_CLASSES for part in ast.walk(classes))
        case ast.Attribute() | ast.Name():
            has, *words = _name(node).strip("_").split("_")
            return has == "has" and bool(FIELD_WORDS & set(words))
    return False


def _is_kind(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "kind" and _name(node.value) in FIELD_OWNERS


def _names_a_type(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and part.value in FIELD_TYPES for part in ast.walk(node))


def _name(node: ast.AST) -> str:
    """Return the last name of an expression: ``masks`` of ``self.masks``, ``item["masks"]`` and ``masks(item)``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.NamedExpr(target=inner):
            return _name(inner)
    return ""


# The measures


def measure(root: Path, *, tests: bool = False) -> list[Measure]:
    """Return the measures of the project in a folder.

    Args:
        root: The folder.
        tests: Count test ids too.
    """
    modules = {package: read_modules(root, package) for package in PACKAGES}
    of_both = [module for package in PACKAGES for module in modules[package]]
    asking = {module.path: len(lines) for module in of_both if (lines := lines_that_ask(module))}
    readme = (root / "README.md").read_bytes() if (root / "README.md").exists() else b""
    return [
        *_sizes("precompute", modules["precompute"]),
        *_sizes("train", modules["train"]),
        Measure("lines that ask for the type of a field", sum(asking.values()), f"in {len(asking)} modules"),
        Measure("circles of imports", len(circles(read_graph(root)))),
        Measure("lines of README.md", readme.count(b"\n")),
        Measure("bytes of README.md", len(readme)),
        Measure("files of tests", len(list((root / "tests").rglob("test_*.py")))),
        Measure("test ids", count_test_ids(root) if tests else None),
    ]


def read_modules(root: Path, package: str) -> list[Module]:
    """Return the modules of a package, sorted by path."""
    paths = sorted((root / package).rglob("*.py"))
    return [Module(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def _sizes(package: str, modules: Sequence[Module]) -> Iterator[Measure]:
    num_lines = sum(module.num_lines for module in modules)
    num_documented = sum(len(module.docstring_lines) for module in modules)
    longest = max(modules, key=lambda module: module.num_lines)
    functions = [(size, name, module.path) for module in modules for name, size in module.functions()]
    size, name, path = max(functions, default=(0, "", ""))
    yield Measure(f"tokens of {package}/", sum(len(module.tokens) for module in modules))
    yield Measure(f"lines of {package}/", num_lines)
    yield Measure(f"docstrings in {package}/, % of lines", round(100 * num_documented / num_lines, 1))
    yield Measure(f"modules of {package}/", len(modules))
    yield Measure(f"longest module of {package}/, lines", longest.num_lines, longest.path)
    yield Measure(f"longest function of {package}/, lines", size, f"{name}, {path}")


def count_test_ids(root: Path) -> int:
    """Return how many tests pytest collects, slow ones too.

    Raises:
        RuntimeError: A file of tests cannot be read.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pytest cannot collect the tests of {root}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return sum(".py::" in line for line in done.stdout.splitlines())


def small_modules(root: Path) -> list[tuple[Module, Module]]:
    """Return the modules of at most SMALL lines of code that one other imports, each with that one."""
    users = imported_by(read_graph(root))
    modules = {module.path: module for package in PACKAGES for module in read_modules(root, package)}
    small = [module for module in modules.values() if module.num_code_lines <= SMALL]
    return [(module, modules[users[module.path][0]]) for module in small if len(users[module.path]) == 1]


# What is printed


def measure_revision(revision: str, *, tests: bool) -> list[Measure]:
    """Return the measures of a revision of the repository, taken in a temporary folder."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        return measure(Path(folder), tests=tests)


def table(now: Sequence[Measure], then: Sequence[Measure] = (), revision: str = "") -> Iterator[str]:
    """Yield the lines of a Markdown table: name and value, and beside these the other revision's and the change."""
    if not then:
        yield from ("| measure | value |", "|---|---|")
        yield from (f"| {m.name} | {m} |" for m in now)
        return
    yield from (f"| measure | {revision} | now | change |", "|---|---|---|---|")
    for before, after in zip(then, now, strict=True):
        yield f"| {after.name} | {before} | {after} | {_change(before.value, after.value)} |"


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "–"
    share = f", {(after - before) / before:+.1%}" if before else ""
    return f"{round(after - before, 1):+,}{share}"


def main() -> None:
    """Print the table, or what else is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REVISION", help="a revision of git to measure as well")
    parser.add_argument("--tests", action="store_true", help="count test ids too")
    parser.add_argument("--small", action="store_true", help=f"list modules of at most {SMALL} lines of code, one user")
    parser.add_argument("--json", action="store_true", help="print JSON, with the modules of each circle")
    given = parser.parse_args()
    if given.small:
        for module, user in small_modules(ROOT):
            sizes = f"{module.num_code_lines} lines of code, {module.num_lines} in all"
            print(f"{module.path} ({sizes}) ← {user.path} ({user.num_lines})")
        return
    now = measure(ROOT, tests=given.tests)
    then = measure_revision(given.against, tests=given.tests) if given.against else []
    found = circles(read_graph(ROOT))
    if given.json:
        print(json.dumps({"now": [asdict(m) for m in now], "then": [asdict(m) for m in then], "circles": found}))
        return
    print("\n".join(table(now, then, given.against)))
    print("".join(f"\ncircle: {' ↔ '.join(group)}" for group in found))


if __name__ == "__main__":
    main()
