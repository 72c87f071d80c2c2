"""The versions of what decides pixels: of the distributions that imports come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import albumentations as A
import cv2
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import BuildError, SettingsError
from precompute.plan import settings, versions
from precompute.plan.versions import PACKAGES, other_versions, pixel_versions
from tests.helpers.growing_datasets import GROWING, lay_out, restore, run_build
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_classes, options


@pytest.fixture(autouse=True)
def _looked_up_anew() -> Iterator[None]:
    yield
    versions._distributions.cache_clear()
    versions._owners.cache_clear()


def install(site: Path, module: str, *distributions: str, record: bool = False) -> Path:
    """Make a folder look as if distributions such as ``"nrtk-albumentations 2.0.9"`` had put a module there."""
    (site / module).mkdir(parents=True, exist_ok=True)
    (site / module / "__init__.py").write_text("__version__ = '7.7'\n")
    for name, version in map(str.split, distributions):
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        listed = ("RECORD", f"other.py,,\n{module}/__init__.py,,\n") if record else ("top_level.txt", f"{module}\n")
        (info / listed[0]).write_text(listed[1])
    return site / module / "__init__.py"


def found(monkeypatch: pytest.MonkeyPatch, origin: Path | None) -> str:
    """Return the version of Albumentations where it is imported from a file."""
    origins = versions._origin
    monkeypatch.setattr(versions, "_origin", lambda name: origin if name == "albumentations" else origins(name))
    versions._distributions.cache_clear()
    return pixel_versions()["albumentations"]


def test_here_each_is_its_version_alone() -> None:
    here = pixel_versions()
    assert here["albumentations"] == A.__version__ and here["pillow"] == metadata.version("pillow")
    assert here.keys() - PACKAGES.keys() <= {"simsimd", "numkong"}
    assert all(version[0].isdigit() for version in here.values())


def test_what_adds_images_counts_where_albucore_asks_for_it() -> None:
    asked = [line for line in metadata.requires("albucore") or [] if line.startswith(("simsimd", "numkong"))]
    named = {name for name in ("simsimd", "numkong") if any(line.startswith(name) for line in asked)}
    assert named == pixel_versions().keys() - PACKAGES.keys()
    assert all(pixel_versions()[name] == metadata.version(name) for name in named)


@pytest.mark.parametrize("record", [False, True])
def test_fork_is_named_with_its_version(record: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    origin = install(tmp_path, "albumentations", "nrtk-albumentations 2.0.9", record=record)
    assert found(monkeypatch, origin) == "nrtk-albumentations 2.0.9"


@pytest.mark.parametrize("name", ["albumentations", "albumentationsx"])
def test_known_distributions_are_told_by_their_version(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert found(monkeypatch, install(tmp_path, "albumentations", f"{name} 2.0.8")) == "2.0.8"


def test_editable_install_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    origin = install(tmp_path / "clone", "albumentations")
    info = tmp_path / "site" / "nrtk_albumentations-2.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nrtk-albumentations\nVersion: 2.1\n")
    url = {"url": (tmp_path / "clone").as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(url))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert found(monkeypatch, origin) == "nrtk-albumentations 2.1"


def test_a_bare_folder_is_no_distribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    origin = install(tmp_path, "albumentations")
    assert found(monkeypatch, origin) == f"not from a distribution: {A.__version__}"
    assert found(monkeypatch, None) == "not installed"


def test_two_distributions_of_one_module_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    origin = install(tmp_path / "site", "albumentations", "albumentations 2.0.8", "nrtk-albumentations 2.0.8")
    assert found(monkeypatch, origin) == "2.0.8 and nrtk-albumentations 2.0.8"
    words = r"albumentations 2\.0\.8 and nrtk-albumentations 2\.0\.8.*pip uninstall albumentations nrtk-albumentations"
    with pytest.raises(BuildError, match=f"(?s){words}"):
        precompute.build(data, tmp_path / "out", **options())
    assert not (tmp_path / "out").exists()


def test_two_opencvs_are_refused_unless_they_are_the_same_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    origins, real = versions._origin, Path(cv2.__file__)
    for folder, other in (("same", "4.9"), ("apart", "4.10")):
        origin = install(tmp_path / folder, "cv2", "opencv-python 4.9", f"opencv-python-headless {other}")
        assert real != origin
        monkeypatch.setattr(versions, "_origin", lambda name, at=origin: at if name == "cv2" else origins(name))
        versions._distributions.cache_clear()
        if folder == "same":
            versions.check_distributions()
            assert pixel_versions()["opencv-python-headless"] == "4.9"
        else:
            with pytest.raises(BuildError, match=r"opencv-python 4\.9 and opencv-python-headless 4\.10"):
                versions.check_distributions()


def test_another_process_finds_the_fork_on_its_path(tmp_path: Path) -> None:
    install(tmp_path, "albumentations", "nrtk-albumentations 2.0.9")
    code = "from precompute.plan.versions import pixel_versions; print(pixel_versions()['albumentations'])"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "nrtk-albumentations 2.0.9"


def test_an_unknown_version_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Manifest.load(GROWING / "splits" / "golden").settings
    lacking = dict(stored["pixels"]["versions"])
    assert "simsimd" not in lacking
    now = {**stored, "pixels": {**stored["pixels"], "versions": {**lacking, "simsimd": "6.5"}}}
    assert settings.differences(stored, now) == []
    unknown = {**stored, "pixels": {**stored["pixels"], "versions": {**lacking, "albumentations": "not installed"}}}
    assert settings.differences(unknown, now) == []
    assert settings.differences(now, stored) == ["version of simsimd: '6.5' in the dataset, none now"]
    monkeypatch.setattr(versions, "_version", lambda package: "1")
    assert other_versions({"numpy": "1", "scipy": "2", "pillow": "not installed"}) == {"scipy": ("2", "1")}


def test_another_simsimd_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = lay_out("splits", tmp_path)
    run_build(tmp_path, given, variants=1)
    assert "simsimd" in Manifest.load(tmp_path / "golden").settings["pixels"]["versions"]
    real = versions._version
    monkeypatch.setattr(versions, "_version", lambda package: "0.1" if package == "simsimd" else real(package))
    with pytest.raises(SettingsError, match=r"version of simsimd: '[\d.]+' in the dataset, '0.1' now"):
        run_build(tmp_path, given, variants=2)


def test_dataset_built_with_a_fork_before_it_had_a_name_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out = lay_out("splits", tmp_path), restore("splits", tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["settings"]["pixels"]["versions"] |= dict.fromkeys(("albumentations", "albucore"), "not installed")
    manifest["fingerprint"] = settings.fingerprint(manifest["settings"])
    (out / "manifest.json").write_text(json.dumps(manifest))
    known = {**manifest["settings"]["pixels"]["versions"], "albumentations": "nrtk-albumentations 2.0.9"}
    monkeypatch.setattr(versions, "_version", known.get)
    run_build(tmp_path, given, variants=2)
    assert len(Manifest.load(out).splits["train"].rows) == 2
