"""Before the job: with which of its transforms does a pipeline begin to go wrong?"""

from __future__ import annotations

import cloudpickle

from precompute.errors import RejectedSource
from precompute.record.decode import Decoded
from precompute.record.pipelines.pipeline import Pipeline
from precompute.record.pipelines.transforms import shown_name
from precompute.record.render import PipelineFault, augment
from precompute.record.spec import RecordSpec

__all__ = ["first_fault"]


def first_fault(pickled: bytes, source: Decoded, spec: RecordSpec, *, variant: int) -> str:
    """Return a sentence that names the transform from which on a pipeline goes wrong, and the one that raises.

    What a transform before them gives may be of no use to records and yet be meant so: floats that a later one turns
    into uint8 again. So it is the beginning of the faults that last to the end.

    Args:
        pickled: A prepared pipeline that fails on this source.
        source: Decoded.
        spec: Without height and width.
        variant: Under seed 0, at which it fails.

    Returns:
        Empty where the pipeline has no transforms of which one could be named.
    """
    begins, gave, raises = None, "", None
    for number, transform in enumerate(cloudpickle.loads(pickled).transforms):
        fault = _fault_of_first(pickled, number + 1, source, spec, variant)
        if fault is None:
            begins = None
            continue
        if begins is None:
            begins, gave = shown_name(transform), f", which {fault}" if fault.startswith("gave ") else ""
        if fault.startswith("failed"):
            raises = shown_name(transform)
            break
    if begins is None:
        return ""
    shows = f"; it shows at {raises}" if raises not in (None, begins) else ""
    return f"What goes wrong begins with {begins}{gave}{shows}."


def _fault_of_first(pickled: bytes, number: int, source: Decoded, spec: RecordSpec, variant: int) -> str | None:
    """Return what is wrong with what the first transforms alone give, under the same draws; None where nothing is."""
    compose = cloudpickle.loads(pickled)
    compose.transforms = compose.transforms[:number]
    try:
        augment(source, Pipeline(cloudpickle.dumps(compose)), spec, seed=0, variant=variant)
    except PipelineFault as error:
        return error.fault
    except RejectedSource as error:
        return str(error)
    return None
