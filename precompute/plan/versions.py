"""Versions of the packages that decide pixels: those of the distributions that imported modules really come from.

An import name says little: forks of Albumentations have other names, and OpenCV comes in four distributions. The folder
that a module lies in also tells which distribution installed it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from precompute.errors import BuildError, first_few

__all__ = ["NOT_INSTALLED", "check_distributions", "other_versions", "pixel_versions"]

NOT_INSTALLED = "not installed"
UNKNOWN = "not from a distribution:"  # stands where the name of one would
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)


@dataclass(frozen=True)
class Package:
    """A package that decides pixels, or the bytes that they are stored in.

    Attributes:
        module: Name by which it is imported.
        known: Distributions that are named by their version alone; others are named beside it.
    """

    module: str
    known: tuple[str, ...]


PACKAGES = {
    "albumentations": Package("albumentations", ("albumentations", "albumentationsx")),
    "albucore": Package("albucore", ("albucore",)),
    "opencv-python-headless": Package("cv2", OPENCV),
    "numpy": Package("numpy", ("numpy",)),
    "scipy": Package("scipy", ("scipy",)),
    "pillow": Package("PIL", ("pillow",)),
    "isal": Package("isal", ("isal",)),
}
# What albucore adds images with (RandomSunFlare, HistogramMatching …): the one that the installed albucore asks for.
# Earlier datasets do not name it.
ADDING = {"simsimd": Package("simsimd", ("simsimd",)), "numkong": Package("numkong", ("numkong",))}
ALL = {**PACKAGES, **ADDING}

Named = tuple[str, str]  # distribution, version


def pixel_versions() -> dict[str, str]:
    """Return the versions of the packages that decide pixels; a fork is named beside its version."""
    found = {package: _version(package) for package in ALL}
    return {package: version or NOT_INSTALLED for package, version in found.items() if version or package in PACKAGES}


def other_versions(stored: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return package → (stored version, installed version), where these differ.

    A package that is not named, or whose distribution was not found, had an unknown version.
    """
    installed = pixel_versions()
    return {
        package: (version, installed.get(package, NOT_INSTALLED))
        for package, version in stored.items()
        if version not in (NOT_INSTALLED, installed.get(package))
    }


def check_distributions() -> None:
    """Refuse two distributions that put their files into one module: nobody can tell which files run.

    Distributions of OpenCV of one version are the same code, however many there are.

    Raises:
        BuildError: There are such.
    """
    several = [names for package in ALL if len(names := _distributions(package)) > 1 and not _same_code(names)]
    if several:
        unwanted = dict.fromkeys(name for of_module in several for name, _ in of_module)
        lines = [" and ".join(f"{name} {version}" for name, version in of_module) for of_module in several]
        raise BuildError(
            f"several distributions are installed that put their files into one module:\n{first_few(lines)}\n"
            "Which of them makes the pixels cannot be told. Take them away, then install the one that you want: "
            f"pip uninstall {' '.join(unwanted)}"
        )


def _same_code(names: tuple[Named, ...]) -> bool:
    return {name for name, _ in names} <= {*OPENCV} and len({version for _, version in names}) == 1


def _version(package: str) -> str | None:
    """Return the version of a package in the form of settings; None if it is not installed."""
    known, names = ALL[package].known, _distributions(package)
    if package in ADDING and not _is_asked_for(package):
        return None
    if _same_code(names):
        names = names[:1]
    return " and ".join(version if name in known else f"{name} {version}" for name, version in names) or None


def _is_asked_for(package: str) -> bool:
    """Return whether the installed albucore requires this one of the packages that add images."""
    requires = (line for name, _ in _distributions("albucore") for line in _requires(name))
    return any(re.match(rf"{package}\b", line, re.IGNORECASE) for line in requires)


def _requires(distribution: str) -> list[str]:
    try:
        return metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []


@functools.cache
def _distributions(package: str) -> tuple[Named, ...]:
    """Return the distributions that a package's module comes from; empty if it cannot be imported."""
    origin = _origin(ALL[package].module)
    if origin is None:
        return ()
    folder = origin.parent.parent if origin.stem == "__init__" else origin.parent
    owners = _owners(folder).get(ALL[package].module, [])
    return tuple(owners or _recorded_elsewhere(package, origin, folder))


def _origin(module: str) -> Path | None:
    """Return the file that a module would be imported from, without importing it."""
    loaded = sys.modules.get(module)
    try:
        spec = None if loaded is None else loaded.__spec__
        spec = importlib.util.find_spec(module) if spec is None else spec
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


@functools.cache
def _owners(folder: Path) -> dict[str, list[Named]]:
    """Return, for each of the listed modules, the distributions in a folder that claim it."""
    found: dict[str, list[Named]] = {package.module: [] for package in ALL.values()}
    for path in sorted(folder.glob("*.*-info")):
        if path.suffix in (".dist-info", ".egg-info") and path.is_dir():
            for module in _modules_of(path) & found.keys():
                found[module].append(_named(metadata.PathDistribution(path)))
    return found


def _modules_of(path: Path) -> set[str]:
    """Return the listed modules that a distribution has installed, according to its own records."""
    try:
        return set((path / "top_level.txt").read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        pass
    try:
        record = b"\n" + (path / "RECORD").read_bytes()
    except OSError:
        return set()
    names = (package.module for package in ALL.values())
    return {name for name in names if f"\n{name}/__init__.py,".encode() in record or f"\n{name}.".encode() in record}


def _named(distribution: metadata.Distribution) -> Named:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower(), distribution.version


def _recorded_elsewhere(package: str, origin: Path, folder: Path) -> Iterator[Named]:
    """Yield the distributions of a module that no list of files beside it names: an editable install, a bare folder."""
    for distribution in metadata.distributions():
        place = _editable_folder(distribution)
        if place is not None and origin.is_relative_to(place):
            yield _named(distribution)
            return
    for name in ALL[package].known:
        for distribution in metadata.distributions(name=name, path=[str(folder)]):
            yield _named(distribution)
            return
    version = getattr(importlib.import_module(ALL[package].module), "__version__", "of unknown version")
    yield UNKNOWN, str(version)


def _editable_folder(distribution: metadata.Distribution) -> Path | None:
    try:
        content: Any = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    url = content.get("url", "")
    if not content.get("dir_info", {}).get("editable") or not url.startswith("file:"):
        return None
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))
