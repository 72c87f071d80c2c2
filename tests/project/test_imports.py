"""What loads what: fresh interpreters tell. And who may import whom inside the project: a table, and no circles."""

from __future__ import annotations

import ast
import functools
import graphlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_classes
from tests.helpers.stored_records import build_rows

sys.path.append(str(ROOT / "scripts"))

import import_graph

sys.path.remove(str(ROOT / "scripts"))

HEAVY = {
    "tensorflow",
    "keras",
    "albumentations",
    "cv2",
    "PIL",
    "joblib",
    "matplotlib",
    "scipy",
    "pydantic",
    "fsspec",
    "s3fs",
    "distributed",
    "dask",
}


# What a fresh interpreter loads


def loaded_by(code: str, *arguments: object, path: Path | None = None) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running the code."""
    code += "\nimport sys; print('\\n' + ' '.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty modules of heavy names, so that a test that loads them on purpose is quick."""
    folder = tmp_path_factory.mktemp("stand_ins")
    for name in ("tensorflow", "keras"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    return folder


def test_import_precompute_loads_nothing_heavy() -> None:
    assert loaded_by("import precompute; dir(precompute)") & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import precompute; precompute.read", {"PIL"}),  # masks of 16 bits are Pillow's
        ("import precompute.cli; precompute.cli.make_parser().format_help()", set()),
    ],
    ids=["read", "help"],
)
def test_what_is_light_loads_little(code: str, heavy: set[str]) -> None:
    assert loaded_by(code) & HEAVY <= heavy


def test_what_is_loaded_on_purpose_is_caught(stand_ins: Path) -> None:
    assert loaded_by("import precompute, keras, tensorflow", path=stand_ins) & HEAVY == {"keras", "tensorflow"}


# Keras itself loads OpenCV where it finds it, so that sys.modules cannot tell who asked for it.
LOAD_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["cv2", "albumentations", "albucore", "keras"]))  # importing these raises ImportError
import precompute
batches = list(precompute.load(sys.argv[1], batch_size=5))
assert len(batches) == 7, len(batches)
"""


@pytest.mark.slow
def test_load_needs_neither_albumentations_nor_opencv_nor_keras(tmp_path: Path) -> None:
    assert "tensorflow" in loaded_by(LOAD_WITHOUT, build_rows(tmp_path))


def test_a_module_that_is_kept_away_is_missed() -> None:
    with pytest.raises(AssertionError, match=r"import of (cv2|albumentations) halted"):
        loaded_by(LOAD_WITHOUT.replace("import precompute", "import precompute.pipelines.pipeline"), "nowhere")


TRAIN_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["cv2", "albumentations", "albucore"]))
import train.cli, train.fit, train.evaluate, train.export
try:
    import train.predict
except ImportError as error:
    assert "halted" in str(error), error
else:
    raise AssertionError("train.predict decodes images")
"""


@pytest.mark.slow
def test_of_the_trainer_predict_alone_needs_albumentations_and_opencv() -> None:
    assert "tensorflow" in loaded_by(TRAIN_WITHOUT)


# What a worker loads

BUILD_AND_TELL = """
import os, sys
from pathlib import Path
import tensorflow, keras  # as at the top of a user's own script: the workers shall not follow
import albumentations as A
import precompute

class Tell(A.ImageOnlyTransform):
    def apply(self, img, **params):
        for name in os.environ["LOAD_ON_PURPOSE"].split():
            __import__(name)
        Path(os.environ["TOLD"], str(os.getpid())).write_text(" ".join(sys.modules))
        return img

if __name__ == "__main__":
    pipeline = {"train": A.Compose([A.Resize(16, 16), Tell(p=1)])}
    precompute.build(*sys.argv[1:], pipeline=pipeline, variants=2, jobs=2, quiet=True)
    Path(os.environ["TOLD"], str(os.getpid())).unlink()  # the parent tried the pipeline on a few sources
"""


def loaded_in_workers(folder: Path, stand_ins: Path, on_purpose: str) -> list[set[str]]:
    """Return the top-level modules of each worker process, after it has written records."""
    script, told = folder / "script.py", folder / "told"
    script.write_text(BUILD_AND_TELL)
    told.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(stand_ins),
        "TOLD": str(told),
        "LOAD_ON_PURPOSE": on_purpose,
    }
    done = subprocess.run(
        [sys.executable, script, draw_classes(folder / "sources", per_class=16), folder / "out"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [{name.partition(".")[0] for name in path.read_text().split()} for path in told.iterdir()]


@pytest.mark.slow
def test_a_worker_has_no_tensorflow(tmp_path: Path, stand_ins: Path) -> None:
    workers = loaded_in_workers(tmp_path, stand_ins, "")
    assert workers
    for loaded in workers:
        assert {"albumentations", "cv2"} <= loaded
        assert loaded & {"tensorflow", "keras", "matplotlib"} == set()


@pytest.mark.slow
def test_a_worker_that_loads_keras_on_purpose_is_caught(tmp_path: Path, stand_ins: Path) -> None:
    workers = loaded_in_workers(tmp_path, stand_ins, "keras")
    assert workers
    assert all("keras" in loaded for loaded in workers)


# Who may import whom

# The rooms of the project, and modules directly below `precompute`, from the ground up; each may import what stands
# behind its name. A room inside of a room has a row of its own where it may import more.
ALLOWED = {
    "errors": "",
    "text": "errors",
    # How programs read their arguments, print and end.
    "program": "errors text",
    # Files of object stores, beside those of local disks.
    "storage": "errors text",
    "fields": "errors text",
    "images": "errors fields storage text",
    "options": "errors fields images storage text",
    # The contract on disk.
    "dataset": "errors fields storage text",
    "records": "errors fields storage text",
    # Reading: neither Albumentations nor OpenCV; TensorFlow in a room of its own.
    "readers": "dataset errors options records storage text",
    "readers.tf": "dataset errors fields options program readers storage text",
    # What there is to augment.
    "table": "dataset errors fields options storage text",
    "sources": "dataset errors fields images options storage table text",
    # Writing: Albumentations and OpenCV, and no TensorFlow.
    "pipelines": "dataset errors fields images text",
    "rendering": "dataset errors fields images options pipelines records storage table text",
    "plan": "dataset errors fields options table text",
    # Pages of HTML, that know no dataset.
    "pages": "errors",
    "pictures": "dataset errors fields plan readers records storage table text",
    "preflight": "dataset errors fields images options pipelines plan records rendering table text",
    "building": "dataset errors fields images options pictures pipelines plan preflight program records rendering "
    "sources storage table text",
    # Other images made like those of a dataset.
    "preparing": "dataset errors images options pipelines rendering sources storage",
    # Looking.
    "verifying": "dataset errors fields options plan records rendering storage table text",
    "comparing": "dataset errors fields options pages pictures pipelines plan records rendering storage table text "
    "verifying",
    "exporting": "building dataset errors fields images options readers records sources storage text",
    "inspecting": "building dataset errors fields images options pictures pipelines plan preflight readers records "
    "rendering sources storage table text",
    # One report of all there is to say of a dataset.
    "reporting": "building dataset errors fields images inspecting options pages pictures pipelines plan records "
    "rendering storage table text",
    "commands": "building comparing dataset errors exporting inspecting options pictures reporting sources storage "
    "text verifying",
    "cli": "commands errors options program",
    "__main__": "cli program",
    # The public names, each fetched when it is first used.
    "precompute": "building comparing errors exporting inspecting preparing readers readers.tf reporting table "
    "verifying",
    # The trainer, on top of what is public and of the format.
    "train": "dataset errors fields images options pictures plan precompute preparing program readers.tf storage table "
    "text",
}

# Modules of `precompute.fields` that say nothing of a single type of field, and the registry; the others are of types.
OF_ALL_TYPES = {
    *("colors", "column", "contents", "counters", "counts", "entry_checks", "feature", "field", "image", "layers"),
    *("picture", "pixels", "record", "registry", "rle", "skeleton", "string_column"),
}

# Who may know types of fields, a folder or a module each, and why; everyone else asks all fields the same questions.
MAY_KNOW_TYPES = {
    "precompute/fields/": "they are these types",
    "precompute/rendering/fields/": "their twins that write",
    "precompute/readers/tf/fields.py": "twins in tf.data",
    "precompute/readers/tf/objects.py": "a twin in tf.data",
    "precompute/sources/": "each layout makes columns of its own",
    "precompute/images/instance_masks.py": "decodes values of the twin that writes objects",
    "precompute/pipelines/box_rules.py": "moves values of the twin that writes objects",
    "precompute/pipelines/instance_rules.py": "moves values of the twin that writes objects",
    "precompute/pipelines/keypoint_rules.py": "moves values of the twin that writes objects",
    "precompute/building/earlier_rules.py": "the name that merged masks have always given their background",
    "train/tasks/": "each task learns targets of one type",
}

# One owner, or as few as can be, of what is slow to import.
OWNERS = {
    "tensorflow": {"precompute.readers.tf", "train"},
    "keras": {"precompute.readers.tf", "train"},
    "albumentations": {"precompute.pipelines"},
    "scipy": {"precompute.pipelines"},
    "pydantic": {"precompute.pipelines"},
    "cv2": {
        "precompute.building",
        "precompute.images",
        "precompute.pipelines",
        "precompute.preflight",
        "precompute.verifying",
    },
    "matplotlib": {"precompute.pages", "train"},
    "jinja2": {"precompute.pages"},
    "distributed": {"precompute.building"},
    "pycocotools": {"precompute.fields", "train"},
    "fsspec": {"precompute.storage"},
    "pyarrow": {"precompute.sources"},
}


def imports_of(path: Path) -> list[str]:
    """Return the dotted names that a file imports, inside functions and for type checkers too."""
    return list(_imports_of(path, path.stat().st_mtime_ns))


@functools.cache
def _imports_of(path: Path, _: int) -> tuple[str, ...]:
    return tuple(_read_imports(path))


def _read_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute in this project"
            assert node.module
            yield node.module


def unit_of(name: str) -> str:
    """Return the row of the table that a dotted name belongs to."""
    first, _, rest = name.partition(".")
    if first != "precompute" or not rest:
        return first
    inner = ".".join(rest.split(".")[:2])
    return inner if inner in ALLOWED else rest.partition(".")[0]


def edges(root: Path) -> dict[str, set[str]]:
    """Return unit → units that it imports, of all files of the project."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in [*(root / "precompute").rglob("*.py"), *(root / "train").rglob("*.py")]:
        unit = unit_of(".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
        units = {unit_of(name) for name in imports_of(path) if name.split(".")[0] in ("precompute", "train")}
        found[unit] |= units - {unit}
    return dict(found)


def too_many(found: dict[str, set[str]]) -> list[str]:
    """Return the imports that the table does not allow."""
    return [
        f"{unit} imports {other}"
        for unit, others in sorted(found.items())
        for other in sorted(others - set(ALLOWED.get(unit, "").split()))
    ]


def test_imports_stay_inside_the_table() -> None:
    assert too_many(edges(ROOT)) == []


def test_the_table_goes_one_way_and_names_what_is_there() -> None:
    table = {unit: allowed.split() for unit, allowed in ALLOWED.items()}
    assert set(graphlib.TopologicalSorter(table).static_order()) == set(table)  # raises CycleError
    assert set(edges(ROOT)) <= set(table)


def test_modules_import_one_another_in_no_circle() -> None:
    """Not inside a package either, and not for type checkers."""
    assert import_graph.circles(import_graph.read_graph(ROOT)) == []


def test_a_circle_inside_a_package_for_type_checkers_is_caught(tmp_path: Path) -> None:
    (tmp_path / "precompute/building").mkdir(parents=True)
    (tmp_path / "precompute/building/a.py").write_text("from precompute.building.b import B\n")
    (tmp_path / "precompute/building/b.py").write_text("if TYPE_CHECKING:\n    from precompute.building.a import A\n")
    assert import_graph.circles(import_graph.read_graph(tmp_path)) == [
        ["precompute/building/a.py", "precompute/building/b.py"]
    ]


def test_an_import_that_is_not_allowed_is_caught(tmp_path: Path) -> None:
    (tmp_path / "precompute/dataset").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    (tmp_path / "precompute/dataset/rows.py").write_text(
        "def late():\n    from precompute.building.build import build\n"
    )
    (tmp_path / "precompute/loader.py").write_text("import precompute.rendering.render\n")
    (tmp_path / "train/fit.py").write_text("from precompute.rendering import render\nimport precompute\n")
    assert too_many(edges(tmp_path)) == [
        "dataset imports building",
        "loader imports rendering",
        "train imports rendering",
    ]


def know_types(root: Path) -> dict[str, set[str]]:
    """Return each file of the project that imports modules of single types of fields, with their names."""
    found = {}
    for path in [*(root / "precompute").rglob("*.py"), *(root / "train").rglob("*.py")]:
        names = {name.removeprefix("precompute.fields.") for name in modules_of(path) if _is_of_type(name)}
        found |= {path.relative_to(root).as_posix(): names} if names else {}
    return found


def modules_of(path: Path) -> Iterator[str]:
    """Yield what a file imports, and each name that it imports from there, which may be a module too."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)) if "precompute.fields" in text else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def _is_of_type(name: str) -> bool:
    above, _, module = name.rpartition(".")
    return above == "precompute.fields" and module not in OF_ALL_TYPES


def may_not_know(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return those of the files that the table does not name."""
    return {file: names for file, names in found.items() if not file.startswith(tuple(MAY_KNOW_TYPES))}


def test_types_of_fields_are_known_by_those_alone_who_have_a_reason() -> None:
    found = know_types(ROOT)
    assert may_not_know(found) == {}
    for place in MAY_KNOW_TYPES:
        assert any(file.startswith(place) for file in found), f"{place} knows no type any more: take it from the table"


def test_one_who_knows_types_of_fields_without_a_reason_is_caught(tmp_path: Path) -> None:
    (tmp_path / "precompute/inspecting").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    (tmp_path / "precompute/inspecting/late.py").write_text(
        "def f():\n    from precompute.fields.mask import MaskField\n"
    )
    (tmp_path / "precompute/inspecting/new.py").write_text("from precompute.fields.spectrum import Spectrum\n")
    (tmp_path / "precompute/inspecting/fine.py").write_text(
        "from precompute.fields.field import Field\nfrom precompute.fields.image import ImageField\n"
    )
    (tmp_path / "train/fit.py").write_text("from precompute.fields import objects\nimport precompute.fields.label\n")
    assert may_not_know(know_types(tmp_path)) == {
        "precompute/inspecting/late.py": {"mask"},
        "precompute/inspecting/new.py": {"spectrum"},
        "train/fit.py": {"label", "objects"},
    }


@pytest.mark.parametrize("package", OWNERS)
def test_heavy_packages_have_few_owners(package: str) -> None:
    importing = set()
    for path in [*(ROOT / "precompute").rglob("*.py"), *(ROOT / "train").rglob("*.py")]:
        if package in {name.partition(".")[0] for name in imports_of(path)}:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            importing.add("train" if unit_of(name) == "train" else f"precompute.{unit_of(name)}")
    assert importing <= OWNERS[package]
