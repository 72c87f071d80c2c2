"""The sources that a run was trained on, kept in its folder: a score on some of them would flatter its model.

A dataset may be built again in place, with other splits, after a run. Validation then holds images that were trained
on, and nothing in the dataset tells. Two sources are the same if their image files have the same content; or, if both
come from one folder, if they have the same key, since the file may have been fixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, PrecomputeError, first_few
from precompute.table.listing import Listing
from precompute.table.listing_file import read_listing
from precompute.text.format import format_count
from train.files import write_file
from train.run_folder import RunFolder

__all__ = ["TrainedOn", "check_not_trained_on", "check_weights", "record_sources"]

NUM_BYTES = 8  # of each hash: with ten million sources, chances are 1 : 100,000 that two of them look equal

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class TrainedOn:
    """The training sources of a run as numbers.

    Attributes:
        contents: First bytes of the known SHA-256 of image files, uint64, sorted.
        keys: Hashes of folder and key, uint64, sorted.
    """

    contents: Hashes
    keys: Hashes

    @classmethod
    def of(cls, listing: Listing, root: str) -> TrainedOn:
        """Make the numbers of a listing of sources below a folder."""
        contents, keys = hashes_of(listing, root)
        return cls(np.unique(contents[contents != 0]), np.unique(keys))

    @classmethod
    def load(cls, path: Path) -> TrainedOn | None:
        """Read the file of `save`; None if there is none, as in runs of earlier versions.

        Raises:
            PrecomputeError: The file cannot be read.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(arrays["contents"], arrays["keys"])
        except FileNotFoundError:
            return None
        except Exception as error:  # zipfile and NumPy each raise their own
            raise PrecomputeError(
                f"{path}: cannot be read as the list of what the run was trained on ({error})."
            ) from error

    def save(self, path: Path) -> None:
        """Write a file."""

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, contents=self.contents, keys=self.keys, allow_pickle=False)

        write_file(path, save)

    def __or__(self, other: TrainedOn) -> TrainedOn:
        return TrainedOn(np.union1d(self.contents, other.contents), np.union1d(self.keys, other.keys))

    def holds(self, sha256: str) -> bool:
        """Return whether a file with this content is among the sources."""
        return bool(np.isin(np.frombuffer(bytes.fromhex(sha256)[:NUM_BYTES], "<u8"), self.contents)[0])

    def among(self, listing: Listing, root: str) -> list[str]:
        """Return the keys of those sources in a listing that are among these."""
        contents, keys = hashes_of(listing, root)
        known = np.isin(contents, self.contents) & (contents != 0)
        if len(keys):
            known |= np.isin(keys, self.keys)
        return [listing.sorted_keys[i] for i in np.flatnonzero(known).tolist()]


def hashes_of(listing: Listing, root: str) -> tuple[Hashes, Hashes]:
    """Return two numbers for each source: one of its image's content, 0 if unknown, and one of folder and key."""
    contents = np.frombuffer(bytes(listing.sha256.content), "<u8")[:: 32 // NUM_BYTES]
    if not root:  # lists from Python: one key may stand for different files
        return contents, np.empty(0, np.uint64)
    start = hashlib.blake2b(root.encode("utf-8", "surrogateescape") + b"\0", digest_size=NUM_BYTES)

    def digests() -> Iterable[bytes]:
        for key in listing.sorted_keys:
            of_key = start.copy()
            of_key.update(key.encode("utf-8", "surrogateescape"))
            yield of_key.digest()

    return contents, np.frombuffer(b"".join(digests()), "<u8")


def check_weights(weights: str, dataset: Path, manifest: Manifest) -> str | None:
    """Refuse to start from a model that was trained on sources of this dataset's validation split.

    Args:
        weights: The option `--weights`; only files in the folder of a run are known.
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.

    Returns:
        A note, where this cannot be known.

    Raises:
        DatasetError: The model was trained on some; the message names the first of them.
    """
    run = RunFolder(Path(weights).parent)
    if not run.options.is_file() or not Path(weights).is_file() or "validation" not in manifest.splits:
        return None
    return check_not_trained_on(run, dataset, manifest, "validation")


def record_sources(folder: RunFolder, dataset: Path, manifest: Manifest, weights: str) -> None:
    """Record the sources that a run is trained on, once, with those of the run that its first weights come from.

    Datasets that `precompute` did not write may lack the listing; then nothing is recorded.
    """
    if folder.sources.exists():
        return
    listing = _listing(dataset, manifest, "train")
    if listing is not None:
        trained_on = TrainedOn.of(listing, _root(manifest))
        before = TrainedOn.load(Path(weights).with_name(folder.sources.name))
        (trained_on if before is None else trained_on | before).save(folder.sources)


def check_not_trained_on(run: RunFolder, dataset: Path, manifest: Manifest, split: str) -> str | None:
    """Refuse a split that holds sources that a run was trained on.

    Args:
        run: Folder of the run.
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.
        split: Split that is to be scored.

    Returns:
        A note, where this cannot be known.

    Raises:
        DatasetError: It holds some; the message names the first of them.
    """
    trained_on, listing = TrainedOn.load(run.sources), _listing(dataset, manifest, split)
    if trained_on is None or listing is None:
        if _train_sources(manifest) == run.load_settings().facts.get("train sources"):
            return None  # the splits are still those of its training
        whose = run.path if trained_on is None else dataset
        return f"whether the run was trained on images of {split} cannot be known: {whose} has no list of its sources."
    found = trained_on.among(listing, _root(manifest))
    if found:
        raise DatasetError(
            f"{dataset}: the model of {run.path} was trained on {len(found)} of "
            f"{format_count(len(listing), 'source')} of {split}, "
            f"so a score on them would flatter it:\n{first_few(found)}\n"
            "The splits are not those of its training. Use images that are new to it, or pass --allow-leak."
        )
    return None


def _listing(dataset: Path, manifest: Manifest, split: str) -> Listing | None:
    path = DatasetPaths(dataset).sources(manifest.generation, split)
    return read_listing(path) if path.exists() else None


def _train_sources(manifest: Manifest) -> str | None:
    split = manifest.splits.get("train")
    return None if split is None else split.sources_sha256


def _root(manifest: Manifest) -> str:
    return str(manifest.settings.get("dataset", {}).get("root") or "")
