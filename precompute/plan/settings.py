"""What a generation is made of, as JSON: compared setting by setting, hashed into the fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from precompute.dataset.json_files import canonical_json

__all__ = ["differences", "fingerprint", "pixel_versions"]

# Packages that decide pixels: another version may change them.
PIXEL_PACKAGES = ("albumentations", "albucore", "opencv-python-headless", "numpy", "scipy", "pillow")
NOT_COMPARED = ("dataset.root", "dataset.class_names")  # a moved folder is the same data; classes are in the listing


def pixel_versions() -> dict[str, str]:
    """Return the versions of the packages that decide pixels."""
    return {package: _version(package) for package in PIXEL_PACKAGES}


def fingerprint(settings: dict[str, Any]) -> str:
    """Return the hash of everything that decides the pixels of a record, seeds and rows apart."""
    return hashlib.sha256(canonical_json(settings["pixels"])).hexdigest()


def differences(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Return what differs between two settings, one line each; empty when nothing does."""
    old, new = dict(_flat(stored)), dict(_flat(wanted))
    lines = []
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in NOT_COMPARED and old.get(name) != new.get(name):
            lines.append(f"{name}: {_shown(old.get(name))} in the dataset, {_shown(new.get(name))} now")
    return lines


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for part, values in settings.items():
        for name, value in values.items():
            if name == "pipelines":
                yield from ((f"pipeline of {split}", description) for split, description in value.items())
            elif name == "versions":
                yield from ((f"version of {package}", version) for package, version in value.items())
            else:
                yield f"{part}.{name}", value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "transform" in value:
        return _pipeline_shown(value["transform"])
    return "none" if value is None else repr(value)


def _pipeline_shown(transform: dict[str, Any]) -> str:
    inner = transform.get("transforms")
    name = transform.get("__class_fullname__", "?").rpartition(".")[2]
    if inner is not None:
        return f"{name}[{', '.join(_pipeline_shown(t) for t in inner)}]"
    arguments = ", ".join(f"{k}={v}" for k, v in transform.items() if k != "__class_fullname__")
    return f"{name}({arguments})"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"  # OpenCV has four distributions of one module
