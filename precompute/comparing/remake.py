"""Records made again with what is installed, and compared with what is stored; which transforms were applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from precompute.comparing.difference import PairChanges, compare_pair
from precompute.comparing.installed import InstalledDifference, TransformEvidence
from precompute.comparing.records import StoredRecord
from precompute.comparing.sides import Side
from precompute.comparing.values import Change, summarize
from precompute.errors import DatasetError, RejectedSource
from precompute.pipelines.tracing import TracingPipeline
from precompute.plan.places import PlacedRecord, sample_records
from precompute.plan.versions import other_versions
from precompute.records.tfrecord import Framed, read_frames
from precompute.rendering.rebuild import RecordRebuilder
from precompute.rendering.render import render
from precompute.text.format import format_count
from precompute.verifying.reproduced import is_same_processor

__all__ = ["compare_with_installed"]

OTHER_PROCESSOR = (
    "this processor has other features than those that wrote the dataset: differences of a grey level may come from "
    "that, and not from versions"
)


def compare_with_installed(
    side: Side, *, number: int, pipeline: Any = None, source: str | Path | None = None
) -> InstalledDifference:
    """Return what differs between stored records and those that the installed versions make of the same sources.

    Args:
        side: The dataset and its rows.
        number: Number of records to make again, chosen at random, the same each time.
        pipeline: The pipeline as for a build, where the manifest cannot hold it.
        source: Folder of the sources, where it has moved.

    Raises:
        PipelineError: The pipeline cannot be made from the manifest, or is another one.
        DatasetError: A shard is missing or altered.
    """
    remaker = _Remaker(side, RecordRebuilder(side.out, side.manifest, pipeline=pipeline, source=source))
    remade, failed = list[_Remade](), list[str]()
    for chosen in sample_records(side.places, side.rows, number, seed=0):
        try:
            remade.append(remaker.remake(chosen))
        except RejectedSource as error:
            failed.append(str(error))
    if failed and not remade:
        looked_at = format_count(len(failed), "record")
        raise DatasetError(f"{side.out}: of {looked_at} none could be made again, e.g. {failed[0]}")
    evidence = list(_evidence(remaker.names, remade))
    suspects = {one.name for one in evidence if one.is_suspect}
    different = [one for one in remade if one.changes]
    pairs = [one.pair for one in different if one.pair is not None]
    return InstalledDifference(
        dataset=side.describe(),
        versions=other_versions(side.manifest.settings["pixels"]["versions"]),
        num_records=len(remade),
        num_equal=sum(one.pair is None for one in remade),
        pairs=sorted(pairs, key=lambda pair: (-pair.distance, pair.key, pair.row_a)),
        values=summarize([one.changes for one in remade]),
        transforms=evidence,
        num_unexplained=sum(not suspects & one.applied for one in different),
        failed=failed,
        notes=[] if is_same_processor(side.manifest) else [OTHER_PROCESSOR],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Remade:
    """A record that was made again.

    Attributes:
        applied: Names of the transforms that were applied to it.
        pair: Stored and new record; None where all bytes are those that are stored.
    """

    applied: frozenset[str]
    pair: PairChanges | None

    @property
    def changes(self) -> Mapping[str, Change]:
        """Name of a value that differs → how."""
        return {} if self.pair is None else self.pair.changes


class _Remaker:
    """Makes records of a dataset again.

    Args:
        side: The dataset.
        rebuilder: Prepares pipelines and sources.
    """

    def __init__(self, side: Side, rebuilder: RecordRebuilder) -> None:
        self._side, self._rebuilder = side, rebuilder
        self._pipelines: dict[str, TracingPipeline] = {}
        self._frames: dict[Path, list[Framed]] = {}

    @property
    def names(self) -> list[str]:
        """Names of the transforms of the pipelines that were used, each once."""
        return list(dict.fromkeys(chance.name for of in self._pipelines.values() for chance in of.chances))

    def remake(self, chosen: PlacedRecord) -> _Remade:
        """Make a record again.

        Raises:
            RejectedSource: Its source is missing, cannot be used, or has changed since.
        """
        key, copy = chosen.place
        pipeline = self._pipeline("validation" if chosen.row.original else chosen.split)
        source = self._rebuilder.source(chosen.split, key)
        draw = {"seed": chosen.row.seed, "variant": chosen.row.stored_variant, "copy": copy}
        made = render(source, pipeline, self._rebuilder.spec, **draw)
        applied = frozenset(pipeline.chances[firing.position].name for firing in pipeline.firings)
        stored, schema = self._stored(chosen), self._side.manifest.schema
        if stored == made:
            return _Remade(applied=applied, pair=None)
        rows = (chosen.row.row, chosen.row.row)
        pair = compare_pair((stored, made), (schema, schema), split=chosen.split, place=chosen.place, rows=rows)
        return _Remade(applied=applied, pair=pair)

    def _pipeline(self, split: str) -> TracingPipeline:
        if split not in self._pipelines:
            pipeline = TracingPipeline(self._rebuilder.pipelines[split].pickled)
            pipeline.without_coverage()  # records are made exactly as a build makes them
            self._pipelines[split] = pipeline
        return self._pipelines[split]

    def _stored(self, chosen: PlacedRecord) -> bytes:
        path = self._side.shard(chosen.split, chosen.row, chosen.block)
        if path not in self._frames:
            self._frames[path] = list(read_frames(path))
        frames = self._frames[path]
        if chosen.index >= len(frames):
            raise DatasetError(f"{path}: ends before its record {chosen.index}; run `precompute verify`.")
        return StoredRecord(path, frames[chosen.index]).read()


def _evidence(names: Sequence[str], remade: Sequence[_Remade]) -> Iterator[TransformEvidence]:
    for name in names:
        of = [one for one in remade if name in one.applied]
        others = [one for one in remade if name not in one.applied]
        found = [change for one in of if (change := one.changes.get("image")) is not None]
        levels = [change.mean for change in found if change.mean is not None]
        yield TransformEvidence(
            name=name,
            num_applied=len(of),
            num_different=sum(bool(one.changes) for one in of),
            num_others=len(others),
            num_others_different=sum(bool(one.changes) for one in others),
            share=mean(change.share for change in found) if found else None,
            levels=mean(levels) if levels else None,
        )
