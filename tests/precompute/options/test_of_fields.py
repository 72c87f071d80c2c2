"""Options with a value for each field: on the command line, from Python and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from precompute.cli import main, make_parser
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field, of_field
from precompute.text.names import repeat_flags


def parsed(*words: str) -> dict[str, Any]:
    """Return the options that the command line gives; SOURCE and OUT stand at its end."""
    found = vars(make_parser().parse_args(["build", *words, "in", "out"]))
    assert (found.pop("source"), found.pop("output")) == ("in", "out")
    return found


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--num-classes", "3"], "num_classes", 3),
        (["--num-classes", "fine=9", "coarse=3"], "num_classes", {"fine": 9, "coarse": 3}),
        (["--num-classes=fine=9", "coarse=3"], "num_classes", {"fine": 9, "coarse": 3}),
        (["--num-classes", "fine=9", "--num-classes", "coarse=3"], "num_classes", {"fine": 9, "coarse": 3}),
        (["--num-classes", "3", "--num-classes", "4"], "num_classes", 4),
        (["--num-cl", "fine=9", "coarse=3"], "num_classes", {"fine": 9, "coarse": 3}),
        (["--class-names", "a,b"], "class_names", ["a", "b"]),
        (["--class-names", "label=a,b", "mask=c"], "class_names", {"label": ["a", "b"], "mask": ["c"]}),
        (["--class-names", '"a=b",c'], "class_names", ["a=b", "c"]),
        (["--masks", "seg"], "masks", "seg"),
        (["--masks", "fine=seg/", "b=../b"], "masks", {"fine": "seg/", "b": "../b"}),
        (["--mask-map", "fine=255:1,3:2"], "mask_map", {"fine": {255: 1, 3: 2}}),
        (["--mask-offset", "fine=-1"], "mask_offset", {"fine": -1}),
        (["--mask-column", "fine=x", "b=y"], "mask_column", {"fine": "x", "b": "y"}),
        (["--mask-colors", "fine=x.json"], "mask_colors", {"fine": "x.json"}),
        (["--extra-images", "depth=d/", "clean=c/"], "extra_images", {"depth": "d/", "clean": "c/"}),
        (["--extra-image-columns", "depth=x"], "extra_image_columns", {"depth": "x"}),
    ],
)
def test_the_command_line(words: list[str], name: str, value: Any) -> None:
    assert parsed(*words)[name] == value


def test_other_options_take_no_names() -> None:
    assert list(repeat_flags(["--x", "a=1", "b=2", "--", "--x", "c=3"], lambda flag: flag == "--y")) == [
        *("--x", "a=1", "b=2", "--", "--x", "c=3")
    ]
    assert list(repeat_flags(["--y", "", "b=2"], lambda flag: True)) == ["--y", "", "b=2"]
    assert list(repeat_flags(["--y"], lambda flag: True)) == ["--y"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-classes", "fine=9", "fine=3"], "--num-classes: fine is given twice"),
        (["--num-classes", "4", "--num-classes", "fine=3"], "--num-classes: expected NAME=… each time, got 4 too"),
        (["--num-classes", "fine=3", "--num-classes", "4"], "--num-classes: expected NAME=… each time, got 4 too"),
        (["--num-classes", "fine=x"], "--num-classes: expected an integer, got 'fine=x'"),
        (["--num-classes", "fine=0"], "--num-classes: expected an integer from 1 to 65536, got 0"),
        (["--mask-map", "fine=1"], "--mask-map: expected ids as from:to"),
        (["--target", "label,,mask"], "target: expected different names of targets, such as label,mask"),
        (["--target", "label,label"], "target: expected different names of targets"),
        (["--target", "lable"], "target: expected one of auto, none, boxes, keypoints, instances, mask, label, got"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["build", *words, "in", "out", "--pipeline", "light"])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]
    [line] = capsys.readouterr().err.splitlines()
    assert code == 2 and message in line


def test_from_python_and_from_files(tmp_path: Path) -> None:
    from_python = BuildOptions.make(
        num_classes={"fine": 3.0},
        class_names={"label": ("a", "b")},
        mask_map={"fine": "1-2:0"},
        target=["label", "fine"],
    )
    assert from_python.num_classes == {"fine": 3} and from_python.class_names == {"label": ["a", "b"]}
    assert from_python.mask_map == {"fine": {1: 0, 2: 0}} and from_python.targets == ("label", "fine")
    file = tmp_path / "options.toml"
    file.write_text(
        'num-classes = {fine = 3}\nclass-names = {label = ["a", "b"]}\nmask-map = {fine = {1 = 0, 2 = 0}}\n'
    )
    read = BuildOptions(**BuildOptions.read_toml(file), target="label,fine")
    assert read == from_python
    with pytest.raises(UsageError, match="num_classes: expected an integer"):
        BuildOptions.make(num_classes={"fine": "x"})
    with pytest.raises(UsageError, match=r"mask_map: expected numbers by numbers, .* got \{'fine': 1\}"):
        BuildOptions.make(mask_map={"fine": 1})


def test_a_dictionary_that_is_one_value_is_none_for_each_field() -> None:
    assert not any(
        map(by_field, [{}, {255: 1}, {"255": 1}, {"3c1098": "a"}, {"abcdef": "a"}, {"1,2,3": "b"}, "a", None])
    )
    assert by_field({"fine": 1}) and of_field({"fine": 1}, "coarse") is None and of_field(3, "coarse") == 3
