"""What the measures of the code count, on packages made up for it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.helpers.project import ROOT

SCRIPTS = ROOT / "scripts"
sys.path.append(str(SCRIPTS))

import import_graph  # noqa: E402
import measure_code as code  # noqa: E402

sys.path.remove(str(SCRIPTS))


def written(root: Path, **files: str) -> Path:
    """Write modules; `precompute__a` is precompute/a.py."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tokens(text: str) -> list[str]:
    return [token for _, token in code.Module("a.py", text).tokens]


def value(measures: list[code.Measure], name: str) -> float | None:
    (found,) = [measure.value for measure in measures if measure.name == name]
    return found


def asking(text: str, path: str = "precompute/inspecting/a.py") -> list[int]:
    return sorted(code.lines_that_ask(code.Module(path, text)))


def test_comments_docstrings_and_blank_space_are_no_tokens() -> None:
    bare = "def f(x):\n    return x + 1\n"
    told = '"""Doc."""\n\n# why\n\n\ndef f(x):  # why\n    """Doc.\n\n    More.\n    """\n\n    return x + 1\n'
    assert tokens(told) == tokens(bare) == ["def", "f", "(", "x", ")", ":", "return", "x", "+", "1"]


def test_a_string_is_a_token_and_an_f_string_is_one_with_those_inside() -> None:
    assert tokens("a = 'one two'") == ["a", "=", "'one two'"]
    assert tokens('a = f"{b.c!r} of {d:>{width}}" "e"') == [
        *("a", "=", 'f"{b.c!r} of {d:>{width}}"', "b", ".", "c", "d", "width", '"e"')
    ]
    assert len(tokens('a = f"""\n{b + f"{c}"}\n"""')) == 2 + 1 + 2 + 2  # a =, outer, b +, inner with c


def test_lines_modules_and_the_longest_are_counted(tmp_path: Path) -> None:
    long = '"""Two.\n\nLines.\n"""\n\n\n@cache\ndef f():\n    return (\n        1\n    )\n'
    root = written(tmp_path, precompute__a="x = 1\n", precompute__b__long=long, train__a="x = 1\n")
    measures = code.measure(root)
    assert value(measures, "modules of precompute/") == 2
    assert value(measures, "lines of precompute/") == 12
    assert value(measures, "docstrings in precompute/, % of lines") == 33.3
    assert code.Measure("longest module of precompute/, lines", 11, "precompute/b/long.py") in measures
    assert code.Measure("longest function of precompute/, lines", 4, "f, precompute/b/long.py") in measures
    assert value(measures, "test ids") is None


def test_a_line_that_asks_for_the_type_of_a_field_is_found() -> None:
    assert asking(
        "a = target.kind == 'mask'\n"
        "b = FORMATS[sources.kind]\n"
        "c = NOUNS.get(manifest.target.kind, 'sources')\n"
        "d = kind in ('boxes', 'mask')\n"
        "e = isinstance(boxes, (str, Instances))\n"
        "f = sources.has_mask_files and self.has_instances\n"
        "g = sources.masks is not None or found['label'] is None\n"
    ) == [1, 2, 3, 4, 5, 6, 7]


def test_what_asks_for_something_else_is_not_found() -> None:
    assert not asking(
        "a = problem.kind == 'shard'\n"
        "b = values.dtype.kind in 'biuf'\n"
        "c = Target(kind=sources.kind)\n"
        "d = isinstance(masks, list)\n"
        "e = image.has_alpha\n"
        "f = seed is None\n"
        "g = sources.masks\n"
    )


def test_fields_their_readers_and_layouts_may_ask() -> None:
    asked = "a = self.masks is None\n"
    assert asking(asked, "precompute/fields/mask.py") == []
    assert asking(asked, "precompute/sources/layouts/coco.py") == []
    assert asking(asked, "precompute/readers/tf/boxes.py") == []
    assert asking(asked, "precompute/exporting/boxes.py") == [1]


def test_circles_by_type_checking_and_by_late_imports_are_found(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        precompute__a="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from precompute.b import B\n",
        precompute__b="from precompute import a\n",
        precompute__c="def f():\n    import precompute.d\n",
        precompute__d="from precompute.e import x\n",
        precompute__e="from precompute.c import f\n",
        precompute__f="from precompute.a import x\nimport train.g\n",
        train__g="import numpy\n",
    )
    assert import_graph.circles(import_graph.read_graph(root)) == [
        ["precompute/a.py", "precompute/b.py"],
        ["precompute/c.py", "precompute/d.py", "precompute/e.py"],
    ]
    assert value(code.measure(root), "circles of imports") == 2


def test_small_modules_with_one_user_are_listed(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        precompute__one="x = 1\n",
        precompute__two="x = 1\n",
        precompute__large="x = 1\n" * (code.SMALL + 1),
        precompute__a="from precompute import large, one, two\n",
        precompute__b="from precompute import two\n",
    )
    assert [(module.path, user.path) for module, user in code.small_modules(root)] == [
        ("precompute/one.py", "precompute/a.py")
    ]


def test_a_revision_stands_beside_this_tree() -> None:
    then = [code.Measure("lines", 200), code.Measure("longest", 0), code.Measure("test ids", None)]
    now = [code.Measure("lines", 1150), code.Measure("longest", 3, "a.py"), code.Measure("test ids", 4)]
    assert list(code.table(now, then, "v1")) == [
        "| measure | v1 | now | change |",
        "|---|---|---|---|",
        "| lines | 200 | 1,150 | +950, +475.0% |",
        "| longest | 0 | 3 (a.py) | +3 |",
        "| test ids | – | 4 | – |",
    ]
    assert list(code.table(now[:1])) == ["| measure | value |", "|---|---|", "| lines | 1,150 |"]
