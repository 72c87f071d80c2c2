"""How often each transform of a pipeline should be applied, by its `p` and by the compositions around it.

Source: https://github.com/albumentations-team/albumentations/blob/2.0.8/albumentations/core/composition.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from precompute.pipelines.transforms import albumentations, is_composition, is_custom, shown_name

__all__ = ["Chance", "chances"]

A = albumentations
IN_TURN = (A.Compose, A.ReplayCompose, A.Sequential, A.SelectiveChannelTransform)  # each transform inside, by its own p


@dataclass(frozen=True, kw_only=True, eq=False)
class Chance:
    """A transform of a pipeline, and the share of records that it should be applied to.

    Attributes:
        name: Name, with the compositions around it: ``"OneOf › Blur"``.
        transform: The transform; not to be changed.
        top: Position in the pipeline of the transform, or of the outermost composition around it: gates of transforms
            with different ones are drawn apart.
        share: Share of records that it is applied to at least once, 0 to 1; None where a user's own code decides it.
    """

    name: str
    transform: Any
    top: int
    share: float | None


def chances(compose: Any) -> list[Chance]:
    """Return each transform of a pipeline with its chance, in the order of the pipeline.

    A transform that stands in it twice comes once, without a chance: nobody can tell its runs apart.
    """
    found: dict[int, Chance] = {}
    for top, transform in enumerate(compose.transforms):
        for name, leaf, share in _walk(transform, 1.0, forced=False):
            again = id(leaf) in found
            found[id(leaf)] = Chance(name=name, transform=leaf, top=top, share=None if again else share)
    return list(found.values())


def _walk(node: Any, reached: float | None, *, forced: bool) -> Iterator[tuple[str, Any, float | None]]:
    """Yield name, transform and chance of what a node holds.

    Args:
        node: Transform or composition.
        reached: Share of records that come to the node; None where nobody can say.
        forced: Whether the composition around it has decided for it already, so that its own p counts no more.
    """
    if not is_composition(node):
        share = None if reached is None or _decides_itself(node) else reached * (1.0 if forced and node.p else _p(node))
        yield shown_name(node), node, share
        return
    around = type(node).__name__
    for inner, share, inner_forced in _inside(node, reached, forced=forced):
        for name, leaf, chance in _walk(inner, share, forced=inner_forced):
            yield f"{around} › {name}", leaf, chance


def _inside(node: Any, reached: float | None, *, forced: bool) -> Iterator[tuple[Any, float | None, bool]]:
    """Yield each transform directly inside a composition, the share of records that come to it, and if it must run."""
    kind, number = type(node), len(node.transforms)
    if reached is None or is_custom(node):
        yield from ((inner, None, False) for inner in node.transforms)
    elif kind in IN_TURN:
        yield from ((inner, reached * (1.0 if forced else _p(node)), False) for inner in node.transforms)
    elif kind is A.OneOf:
        own = reached * (1.0 if forced else _p(node))
        weights = node.transforms_ps
        yield from ((inner, own * weight, True) for inner, weight in zip(node.transforms, weights, strict=True))
    elif kind is A.OneOrOther:  # its p chooses, whatever is around it
        yield node.transforms[0], reached * _p(node), True
        yield node.transforms[-1], reached * (1 - _p(node)), True
    elif kind in (A.SomeOf, A.RandomOrder) and not node.replace:  # they pass over what is around them, too
        yield from ((inner, reached * _p(node) * node.n / number, False) for inner in node.transforms)
    else:  # with replacement, one may run several times
        yield from ((inner, None, False) for inner in node.transforms)


def _p(transform: Any) -> float:
    return min(1.0, max(0.0, float(transform.p)))


def _decides_itself(transform: Any) -> bool:
    """Return whether a transform decides by its own code when it is applied."""
    own, base = type(transform), A.BasicTransform
    return own.__call__ is not base.__call__ or own.should_apply is not base.should_apply
