"""The folder of a run: names of its files, writing them whole, and the check whether the run may be continued."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError, SettingsError
from precompute.plan.settings import differences
from precompute.storage.locking import hold_folder
from precompute.storage.paths import absolute, check_path_text, local_path
from precompute.text.names import flag
from precompute.text.toml import format_toml
from train.files import TEMPORARY, write_bytes, write_json
from train.learnt_targets import target_facts
from train.options import FitOptions

__all__ = ["RunFolder", "RunSettings"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings that a run was started with, as in `options.json`.

    Attributes:
        dataset: Folder of the dataset; it may have moved since.
        facts: Facts that identify the dataset: its fingerprint, kind of target, classes or values, and the sources of
            train and validation. Rows are not among them, since they come and go.
        options: All options of `train fit`.
        made: Facts by which changes of the dataset can be described: `settings` as in its manifest, and `num_sources`
            by split; empty in runs of earlier versions.
    """

    dataset: str
    facts: dict[str, Any]
    options: dict[str, Any]
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Path, manifest: Manifest, options: FitOptions) -> RunSettings:
        """Gather the settings of a run that is about to start."""
        facts: dict[str, Any] = {"fingerprint": manifest.fingerprint, **target_facts(manifest)}
        for name in ("train", "validation"):
            split = manifest.splits.get(name)
            facts[f"{name} sources"] = split.sources_sha256 if split else None
        made = {
            "settings": manifest.settings,
            "num_sources": {name: split.num_places for name, split in manifest.splits.items()},
        }
        return cls(dataset=str(dataset.absolute()), facts=facts, options=options.to_dict(), made=made)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `options.json`."""
        return {
            "dataset": self.dataset,
            "dataset_facts": self.facts,
            "options": self.options,
            "dataset_made": self.made,
        }

    def to_toml(self) -> str:
        """Return the options as a file for `train fit --options`, without those that have no value."""
        given = {name: value for name, value in self.options.items() if value is not None}
        return "".join(f"{flag(name)[2:]} = {format_toml(value)}\n" for name, value in given.items())


def _of_kind(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {value!r:.60}")
    return value


class RunFolder:
    """Where a run keeps its files. A file under its final name is whole."""

    def __init__(self, path: str | Path) -> None:
        self.path = local_path(path, "--run")
        self.options = self.path / "options.json"
        self.options_toml = self.path / "options.toml"
        self.sources = self.path / "sources.npz"
        self.class_weights = self.path / "class_weights.json"
        self.checkpoint = self.path / "checkpoint.npz"
        self.history = self.path / "history.csv"
        self.rows = self.path / "rows.csv"
        self.metrics = self.path / "metrics.json"
        self.curves = self.path / "curves.png"
        self.predictions = self.path / "predictions.png"
        self.scores = self.path / "scores.png"
        self.environment = self.path / "environment.json"
        self.tensorboard = self.path / "tensorboard"
        self.lock = self.path / ".lock"

    def model(self, which: str) -> Path:
        """Return the path of the ``"best"`` or ``"last"`` model."""
        return self.path / f"{which}.keras"

    def evaluation(self, split: str, suffix: str) -> Path:
        """Return the path of `train evaluate`'s result for a split."""
        return self.path / f"evaluate-{split}{suffix}"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder, and lock it against other processes; if no run comes of it, the folder is left as it was.

        Raises:
            PrecomputeError: Another process trains in it, or the folder cannot be made.
        """
        check_path_text(absolute(self.path), "--run")
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold_folder(self.lock, lambda folder: folder.mkdir(parents=True, exist_ok=True)))
            except filelock.Timeout as error:
                raise PrecomputeError(f"--run {self.path}: another process is training in this folder.") from error
            except OSError as error:
                raise SettingsError(f"--run {self.path}: cannot be used as a folder: {error}.") from error
            yield

    def check(self, settings: RunSettings, *, restart: bool = False) -> None:
        """Check that the folder can hold a run with these settings, new or continued; changes nothing.

        Args:
            settings: Settings of the run that is about to start.
            restart: Whether the files of an earlier run do not count.

        Raises:
            SettingsError: The folder holds a run with other settings, or something else than a run.
        """
        if not self.options.exists() and any(not path.name.startswith(".") for path in self.path.iterdir()):
            raise SettingsError(f"--run {self.path}: this folder has files but no run in it; choose another --run.")
        if self.checkpoint.exists() and not restart:  # before an epoch is finished there is nothing to protect
            self._check_same(settings)

    def open(self, settings: RunSettings, *, restart: bool = False) -> None:
        """Prepare the folder for a run with these settings, new or continued.

        Args:
            settings: Settings of the run that is about to start.
            restart: Delete the files of an earlier run in the folder.

        Raises:
            SettingsError: The folder holds a run with other settings, or something else than a run.
        """
        self.check(settings, restart=restart)
        if restart:
            self._clear()
        if not self.checkpoint.exists():
            for path in (self.sources, self.class_weights):
                path.unlink(missing_ok=True)
        for path in self.path.glob(TEMPORARY + "*"):  # of a process that was killed; on a full disk it is in the way
            path.unlink(missing_ok=True)
        write_json(self.options, settings.to_dict())
        write_bytes(self.options_toml, settings.to_toml().encode())

    def load_settings(self) -> RunSettings:
        """Read the settings of the run.

        Raises:
            SettingsError: There is no run in the folder.
        """
        try:
            content = json.loads(self.options.read_bytes())
            return RunSettings(
                dataset=_of_kind(str, content["dataset"]),
                facts=_of_kind(dict, content["dataset_facts"]),
                options=_of_kind(dict, content["options"]),
                made=_of_kind(dict, content.get("dataset_made", {})),
            )
        except FileNotFoundError as error:
            raise SettingsError(
                f"{self.path}: there is no run in this folder ({self.options.name} is missing)."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"{self.options}: cannot be read as a run's options: {error!r}.") from error

    def load_metrics(self) -> dict[str, Any] | None:
        """Read `metrics.json`, which is written at the end of a run; None if the run is not finished."""
        try:
            content: dict[str, Any] = json.loads(self.metrics.read_bytes())
            return content if {"epochs", "scores"} <= content.keys() else None
        except (OSError, ValueError, AttributeError):  # missing or spoilt: it is made again
            return None

    def _clear(self) -> None:
        """Delete the files that a run writes, and no file that a user may have added."""
        mine = [self.checkpoint, self.sources, self.class_weights, self.history, self.rows, self.metrics, self.curves]
        mine += [self.predictions, self.scores, self.environment]
        mine += [*self.path.glob("predictions-*.png"), *self.path.glob("scores-*.png")]
        mine += [*self.tensorboard.glob("*/events.out.tfevents.*")]
        mine += [self.model("best"), self.model("last"), *self.path.glob("evaluate-*")]
        mine += [
            *self.path.glob(TEMPORARY + "*"),
            self.options_toml,
            self.options,
        ]  # options last: until then it is still a run
        for path in mine:
            path.unlink(missing_ok=True)
        for folder in (*self.tensorboard.glob("*"), self.tensorboard):
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def _check_same(self, settings: RunSettings) -> None:
        before = self.load_settings()
        wrong = [
            f"  {flag(name)}: {before.options.get(name)!r} in the run, {settings.options[name]!r} now"
            for name in FitOptions.deciding()
            if before.options.get(name) != settings.options[name]
        ]
        changed = changes_of_dataset(before, settings)
        if changed:
            raise SettingsError(
                f"--run {self.path}: the dataset is not the one that this run was begun with:\n"
                + "\n".join([*changed, *wrong])
                + f"\nTo go on, give it the dataset of then: {before.dataset}, built with the settings of then. To "
                f"train on the one of now, choose another --run (--like {self.path} repeats the options, --weights "
                f"{self.model('best')} starts from what was learnt), or pass --restart to throw this run away."
            )
        if wrong:
            raise SettingsError(
                f"--run {self.path} holds a run with other settings:\n" + "\n".join(wrong) + "\n"
                "Choose another --run, or pass --restart to throw that run away."
            )


def changes_of_dataset(before: RunSettings, now: RunSettings) -> list[str]:
    """Return the differences between a run's dataset and that of another run, one indented line per setting."""
    changed = [name for name, value in now.facts.items() if before.facts.get(name) != value]
    if not changed:
        return []
    lines = []
    if before.made:
        lines = differences(before.made.get("settings", {}), now.made["settings"], where="in the run")
    elif "fingerprint" in changed:
        lines = ["pipelines, encoding or versions (in which, this run of an earlier version does not tell)"]
    for name in changed:
        if name.endswith(" sources"):
            lines.append(f"{name}: {_count(before, name)} in the run, {_count(now, name)} now, not the same ones")
        elif name != "fingerprint":
            lines.append(f"{name}: {before.facts.get(name)!r} in the run, {now.facts[name]!r} now")
    return [f"  {line}" for line in lines]


def _count(settings: RunSettings, name: str) -> Any:
    """Return the number of sources of a split in words, as far as the run tells."""
    split = name.removesuffix(" sources")
    known = "some" if settings.facts.get(name) else "none"
    return settings.made.get("num_sources", {}).get(split, known)
