"""The options of a dataset, as far as its manifest tells them, as a file for `precompute build --options`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest, Row
from precompute.errors import PipelineError
from precompute.fields.field import FURTHER_MASKS
from precompute.inspecting.inspection import describe_pipeline
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field
from precompute.options.option import heading
from precompute.options.sources import MASK
from precompute.storage.paths import as_path, is_url
from precompute.text.names import flag, format_names
from precompute.text.toml import format_toml

__all__ = ["stored_options"]

PLACES = ("images", "masks", "annotations")
PAIRS = ("skeleton", "flip_pairs")
OF_MASKS = ("mask_map", "mask_offset", "mask_colors")
OTHER_MEANING = ("root", "class_names")  # in settings: the folder of the sources, and names that were found


def stored_options(out: str | Path) -> str:
    """Return a TOML file with which a build of the same sources makes a dataset with the same fingerprint.

    Options at their defaults are left out, and those of running, which no manifest holds. Values that another machine
    may lack, and a pipeline that no preset makes, are written as comments.

    Args:
        out: The dataset's folder.

    Raises:
        DatasetError: The manifest is missing or not valid.
    """
    manifest = Manifest.load(as_path(out))
    found = _Found()
    _add_settings(found, manifest)
    _add_masks(found, manifest)
    _add_classes(found, manifest)
    _add_columns(found, manifest)
    _add_rows(found, manifest)
    _add_pipeline(found, manifest)
    root = manifest.settings["dataset"]["root"]
    lines = [
        f"# Options of {manifest.name}, {manifest.generation}, for precompute build SOURCE OUT --options FILE.",
        f"# Its sources: {'from Python' if root is None else root}",
    ]
    return "\n".join([*lines, *found.lines()]) + "\n"


@dataclass
class _Found:
    """The options that the manifest tells.

    Attributes:
        values: Name → value.
        comments: Name → lines of comment in place of a value.
    """

    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)

    def comment(self, name: str, value: Any, why: str) -> None:
        """Add a value as a comment, since it may not hold elsewhere."""
        self.comments[name] = [f"{flag(name)[2:]} = {format_toml(value)}  # {why}"]

    def lines(self) -> Iterator[str]:
        """Yield the lines below headings, in the order of the help."""
        defaults, title = BuildOptions(), ""
        for name in BuildOptions.names():
            comments = [f"# {line}" for line in self.comments.get(name, ())]
            if self.values.get(name) is not None and self.values[name] != getattr(defaults, name):
                comments.append(f"{flag(name)[2:]} = {format_toml(self.values[name])}")
            if comments and title != (title := BuildOptions.title_of(name)):
                yield from ("", f"[{heading(title)}]")
            yield from comments


def _add_settings(found: _Found, manifest: Manifest) -> None:
    """Add the options that settings hold under the same name."""
    stored = {**manifest.settings["dataset"], **manifest.settings["pixels"]}
    for name in BuildOptions.names():
        value = stored.get(name)
        if value is None or name in OTHER_MEANING:
            continue
        if name in PAIRS:
            found.values[name] = format_names(value) if value else {"flip_pairs": "none"}.get(name)
        elif name in PLACES and any(map(_is_elsewhere, value.values() if by_field(value) else [value])):
            found.comment(name, value, "a place on the machine that built it")
        else:
            found.values[name] = value


def _add_masks(found: _Found, manifest: Manifest) -> None:
    """Add the options of masks by field, where there are others than the one that is called `mask`."""
    pixels = manifest.settings["pixels"]
    of_fields = {MASK: pixels, **pixels.get(FURTHER_MASKS, {})}
    for name in OF_MASKS if len(of_fields) > 1 else ():
        found.values[name] = {field: given[name] for field, given in of_fields.items() if given.get(name)} or None


def _is_elsewhere(place: Any) -> bool:
    return isinstance(place, str) and (Path(place).is_absolute() or is_url(place))


def _add_classes(found: _Found, manifest: Manifest) -> None:
    names = {name: target.class_names for name, target in manifest.targets.items() if target.class_names}
    if manifest.settings["pixels"].get("of_instances") == MASK:
        names[MASK] = names[MASK][1:]  # of the background, which is none of the objects' classes
    if sum(map(bool, (field.classes or field.num_ids for field in manifest.schema.values()))) > 1:
        found.values["class_names"] = names or None
    else:
        found.values["class_names"] = next(iter(names.values()), None)


def _add_columns(found: _Found, manifest: Manifest) -> None:
    """Add the columns of values and further images under their names; a table may have other columns for them."""
    values = [one for one in manifest.schema.values() if one.in_table and one.own_name != "weight"]
    own = {one.own_name: one.own_name for one in manifest.schema.values() if one.has_own_file}
    if own and manifest.origin.layout == "a table":
        found.values["extra_image_columns"] = own
    elif own and not manifest.settings["dataset"].get("extra_images"):
        found.comment("extra_image_columns", own, "if the sources are a table")
    for name, learnt in {"value_columns": True, "extra_columns": False}.items():
        columns = [one.own_name for one in values if one.is_target == learnt]
        if columns and manifest.origin.layout == "a table":
            found.values[name] = columns
        elif columns:
            found.comment(name, columns, "if the sources are a table")


def _add_rows(found: _Found, manifest: Manifest) -> None:
    """Add seed and variants of the rows that were listed last."""
    train = manifest.splits.get("train")
    rows = [] if train is None else train.rows
    seeds: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.row):
        if not row.original:
            seeds.setdefault(row.seed, []).append(row)
    found.values["include_original"] = any(row.original for row in rows)
    for seed, of_seed in seeds.items():
        found.values["seed"] = seed
        found.values["variants"] = 1 + max(row.stored_variant for row in of_seed)
    if len(seeds) > 1:
        found.comments["seed"] = [f"There are rows of the seeds {', '.join(map(str, seeds))}: a build makes one."]


def _add_pipeline(found: _Found, manifest: Manifest) -> None:
    """Add the preset; if there is none, the transforms as a comment."""
    described = manifest.settings["pixels"]["pipelines"]
    found.values["mask_fill"] = _mask_fill(manifest)
    preset = _preset(manifest)
    if preset is not None:
        found.values |= {"pipeline": preset, "image_size": [manifest.image.height, manifest.image.width]}
        return
    lines = ["pipeline: give --pipeline, it is kept by its transforms alone."]
    for split, description in described.items():
        lines += [f"  {split}:", *(f"    {line}" for line in describe_pipeline(description))]
    found.comments["pipeline"] = lines


def _preset(manifest: Manifest) -> str | None:
    """Return the preset that makes the pipelines of a dataset, if there is one."""
    from precompute.pipelines.load import PRESETS
    from precompute.rendering.rebuild import prepare_like

    for name in PRESETS:
        try:
            _, other = prepare_like(manifest, name, list(manifest.settings["pixels"]["pipelines"]))
        except PipelineError:  # it does not suit these fields
            continue
        if not other:
            return name
    return None


def _mask_fill(manifest: Manifest) -> str:
    """Return `--mask-fill` as the stored pipeline shows it: ``"ignore"``, or ``"as-written"`` if defaults were kept."""
    from precompute.pipelines.description import rebuild
    from precompute.pipelines.mask_rules import set_missing_fills

    ignored = manifest.settings["dataset"]["ignore_class"]
    ignore_class = next(iter(ignored.values())) if by_field(ignored) else ignored
    pipeline = rebuild(manifest.settings["pixels"]["pipelines"]["train"]) if ignore_class else None
    return "as-written" if pipeline is not None and set_missing_fills(pipeline, ignore_class) else "ignore"
