"""What each type of field is in tf.data: the questions that its twin answers, of which `load` asks all fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from precompute.dataset.manifest import Manifest
from precompute.fields.field import Field
from precompute.readers.tf.class_weights import ClassWeights
from precompute.readers.tf.fresh import Moves

__all__ = ["BoxArguments", "FieldTensors", "Parts"]

F = TypeVar("F", bound=Field)
Parts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BoxArguments:
    """The arguments of `load` that say how boxes are handed out.

    Attributes:
        box_format: Form of boxes; None: the default.
        max_boxes: Number of boxes an image; None: as many as any record has.
        ragged: Whether boxes are ragged tensors.
    """

    box_format: str | None = None
    max_boxes: int | None = None
    ragged: bool = False


class FieldTensors(ABC, Generic[F]):
    """A field as tensors of a batch: parsed, moved along with the pixels, handed out, weighed.

    From parsing to handing out a field is a dictionary of **parts**: dense tensors [B, …], which can be held in memory.

    Args:
        field: The field.
        manifest: Manifest of its dataset.
    """

    parts: tuple[str, ...]  # names of the parts, in the order in which they are held
    has_classes: ClassVar[bool] = False  # that `class_weights` can weigh

    def __init__(self, field: F, manifest: Manifest) -> None:
        self.field, self.manifest = field, manifest

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Memory that a parsed example takes."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the features to parse, as `tf.io.parse_example` takes them."""

    @abstractmethod
    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the parts.

        Args:
            features: All features that were parsed of a batch of records.
            batch_size: Size of the batch, where it is static.
        """

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the parts as they are once `moves` has moved the pixels; by default nothing changes."""
        return parts

    def hand_out(self, parts: Parts) -> Any:
        """Return what the user gets; by default the only part, or all of them."""
        return parts[self.parts[0]] if len(self.parts) == 1 else parts

    def with_box_arguments(self, given: BoxArguments, *, held: bool) -> FieldTensors[F] | None:
        """Return the twin that hands out boxes as was asked for; None: the field has no boxes.

        Args:
            given: The arguments of `load`.
            held: Whether rows are held in memory, all batches together.

        Raises:
            UsageError: The field cannot serve it.
        """
        return None

    def class_weigher(self, given: ClassWeights | None) -> Callable[[Parts], Any] | None:
        """Return a function from parts to a weight for each class that an example has, float32 [B, …].

        Args:
            given: Weight of each class, where the field has classes; None: all weigh the same.

        Returns:
            The function; None: an example has one weight, whatever its class.

        Raises:
            UsageError: They do not fit the classes.
        """
        return None
