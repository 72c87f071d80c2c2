"""Fields as tensors of a batch: the base class, and images, labels, masks and values; objects are in `objects`."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.field import Field
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.picture import PictureField
from precompute.fields.value import ValueField
from precompute.readers.tf.fresh import Moves

__all__ = [
    "BoxArguments",
    "ExtraImageTensors",
    "FieldTensors",
    "ImageTensors",
    "LabelTensors",
    "MaskTensors",
    "Parts",
    "PictureTensors",
    "ValueTensors",
    "tensors_of",
]

TYPES = {"int": tf.int64, "float": tf.float32, "text": tf.string}  # of values
VALUE_BYTES = 64  # of a text, roughly

F = TypeVar("F", bound=Field)
P = TypeVar("P", bound=PictureField)
Parts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BoxArguments:
    """The arguments of `load` that say how boxes are handed out.

    Attributes:
        box_format: Form of boxes; None: the default.
        max_boxes: Number of boxes per image; None: as many as any record has.
        ragged: Whether boxes are ragged tensors.
    """

    box_format: str | None = None
    max_boxes: int | None = None
    ragged: bool = False


class FieldTensors(ABC, Generic[F]):
    """The twin of a field in tf.data: it parses values, moves them along with the pixels, hands them out, weighs them.

    Between parsing and handing out, a field is a dictionary of **parts**: dense tensors [B, …] that can stay in memory.

    Args:
        field: The field.
        manifest: Manifest of its dataset.
    """

    parts: tuple[str, ...]  # names of the parts, in the order in which they are held
    has_classes: ClassVar[bool] = False  # that `class_weights` can weigh
    is_normalized: bool = False  # by the Normalize that was taken off the pipeline, where it is an input

    def __init__(self, field: F, manifest: Manifest) -> None:
        self.field, self.manifest = field, manifest

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Memory that a parsed example takes, in bytes."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the features to parse, as `tf.io.parse_example` takes them."""

    @abstractmethod
    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the parts.

        Args:
            features: All parsed features of a batch of records.
            batch_size: Size of the batch, where it is static.
        """

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the parts after `moves` has moved the pixels; by default nothing changes."""
        return parts

    def hand_out(self, parts: Parts) -> Any:
        """Return what `load` yields of the field; by default the only part, or a dictionary of all."""
        return parts[self.parts[0]] if len(self.parts) == 1 else parts

    def with_box_arguments(self, given: BoxArguments, *, held: bool) -> FieldTensors[F] | None:
        """Return the twin that hands out boxes as asked; None: the field has no boxes.

        Args:
            given: The arguments of `load`.
            held: Whether rows are held in memory, all batches together.

        Raises:
            UsageError: The field cannot do that.
        """
        return None

    @property
    def ignored_class(self) -> int | None:
        """The class whose weight is always 0, if there is one."""
        return None

    def class_weigher(self, weights: Sequence[float] | None) -> Callable[[Parts], Any] | None:
        """Return a function: parts → weight for each class that an example has, float32 [B, …].

        Args:
            weights: Weight of each class, where the field has classes; None: all weigh the same.

        Returns:
            The function; None: an example has one weight, whatever its class.
        """
        return None


@functools.singledispatch
def tensors_of(field: Field, manifest: Manifest) -> FieldTensors[Any]:
    """Return the twin of a field in tf.data; each is registered below its class."""
    raise TypeError(f"no twin in tf.data for fields of type {type(field).__name__}")


class PictureTensors(FieldTensors[P]):
    """What images, further images and masks have in common: pixels [B, H, W, C], of masks [B, H, W]."""

    parts = ("pixels",)

    @property
    @abstractmethod
    def _shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""

    @property
    def _dtype(self) -> Any:
        return tf.uint8

    @property
    def num_bytes(self) -> int:
        """Memory of the numbers of all pixels and channels."""
        return math.prod(self._shape) * int(self._dtype.size)

    def spec(self) -> dict[str, Any]:
        """Return the encoded picture."""
        return {self.field.key: tf.io.FixedLenFeature([], tf.string)}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the pixels."""
        return {"pixels": _pixel_decoder(self.field.encoding, self._shape, self._dtype)(features[self.field.key])}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the pixels, moved."""
        return {name: moves.pixels(pixels) for name, pixels in parts.items()}

    def class_weigher(self, weights: Sequence[float] | None) -> Callable[[Parts], Any]:
        """Return a function to one weight per pixel, as Keras wants of targets that are images."""
        return lambda parts: tf.ones(tf.shape(parts["pixels"])[:3])


class ImageTensors(PictureTensors[ImageField]):
    """Images, uint8 [B, H, W, C]."""

    is_normalized = True

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.field.height, self.field.width, self.field.channels


tensors_of.register(ImageField, ImageTensors)


class LabelTensors(FieldTensors[LabelField]):
    """Labels: int64 [B], the class; or for several labels uint8 [B, number of classes], 1 for each of the image's."""

    parts = ("labels",)
    has_classes = True

    @property
    def num_bytes(self) -> int:
        """Eight bytes, or one byte per class."""
        return self.field.num_classes if self.field.several else 8

    def spec(self) -> dict[str, Any]:
        """Return the labels."""
        several = self.field.several
        return {self.field.key: tf.io.VarLenFeature(tf.int64) if several else tf.io.FixedLenFeature([], tf.int64)}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the labels."""
        if not self.field.several:
            return {"labels": features[self.field.key]}
        there = tf.sparse.to_indicator(features[self.field.key], self.field.num_classes)
        return {"labels": tf.ensure_shape(tf.cast(there, tf.uint8), (batch_size, self.field.num_classes))}

    def class_weigher(self, weights: Sequence[float] | None) -> Callable[[Parts], Any] | None:
        """Return a function to weights in the labels' shape: 0 for what is no class, 1 for labels not there."""
        if weights is None:
            return None
        if self.field.several:
            return lambda parts: tf.where(parts["labels"] > 0, tf.constant(weights, tf.float32), 1.0)
        return lambda parts: _gather_weights(weights, parts["labels"])


tensors_of.register(LabelField, LabelTensors)


class MaskTensors(PictureTensors[MaskField]):
    """Masks, one class id per pixel: uint8 [B, H, W]; int32 with more than 256 classes."""

    parts = ("ids",)
    has_classes = True

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.manifest.image.height, self.manifest.image.width, 1

    @property
    def _dtype(self) -> Any:
        return tf.uint8 if self.field.num_classes <= 256 else tf.int32

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the class ids."""
        decode = _pixel_decoder(self.field.encoding, self._shape, tf.as_dtype(self.field.dtype))
        ids = decode(features[self.field.key])
        return {"ids": tf.cast(tf.squeeze(ids, axis=-1), self._dtype)}

    @property
    def ignored_class(self) -> int | None:
        """The ignore class, where it is one of the classes."""
        ignored = self.field.ignore_class
        return ignored if ignored is not None and ignored < self.field.num_classes else None

    def class_weigher(self, weights: Sequence[float] | None) -> Callable[[Parts], Any]:
        """Return a function to one weight per pixel, as Keras wants: 0 for the ignore class and unknown ids."""
        of_classes = [1.0] * self.field.num_classes if weights is None else [*weights]
        if self.ignored_class is not None:
            of_classes[self.ignored_class] = 0.0
        return lambda parts: _gather_weights(of_classes, parts["ids"])


tensors_of.register(MaskField, MaskTensors)


class ValueTensors(FieldTensors[ValueField]):
    """Values: int64, float32 or string [B]; a missing float is NaN."""

    parts = ("values",)

    @property
    def num_bytes(self) -> int:
        """Room for a text; numbers take less."""
        return VALUE_BYTES

    def spec(self) -> dict[str, Any]:
        """Return the value."""
        return {self.field.key: tf.io.FixedLenFeature([], TYPES[self.field.dtype])}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the values."""
        return {"values": features[self.field.key]}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the values; those that mirroring negates change their sign where the image is mirrored."""
        if not self.field.mirror_negates:
            return parts
        mirrored = tf.math.logical_xor(moves.mirror_x, moves.mirror_y)
        return {"values": tf.where(mirrored, 0.0 - parts["values"], parts["values"])}


tensors_of.register(ValueField, ValueTensors)


class ExtraImageTensors(PictureTensors[ExtraImageField]):
    """Further images, uint8, uint16 or float32 [B, H, W, C]."""

    def __init__(self, field: ExtraImageField, manifest: Manifest) -> None:
        super().__init__(field, manifest)
        self.is_normalized = field.moves_as == "image" and field.channels == manifest.image.channels

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.manifest.image.height, self.manifest.image.width, self.field.channels

    @property
    def _dtype(self) -> Any:
        return tf.as_dtype(self.field.dtype)


tensors_of.register(ExtraImageField, ExtraImageTensors)


def _pixel_decoder(encoding: str, shape: tuple[int, int, int], dtype: Any) -> Callable[[Any], Any]:
    """Return a function from string [B] to `dtype` [B, *shape]."""
    if encoding == "raw":
        return lambda encoded: tf.reshape(tf.io.decode_raw(encoded, dtype), (-1, *shape))

    def decode_one(encoded: Any) -> Any:
        if encoding == "jpeg":
            # TensorFlow's default, INTEGER_FAST, differs from other decoders by up to 18 levels, and is hardly faster.
            pixels = tf.io.decode_jpeg(encoded, channels=shape[2], dct_method="INTEGER_ACCURATE")
        else:
            pixels = tf.io.decode_png(encoded, channels=shape[2], dtype=dtype)
        return tf.ensure_shape(pixels, shape)

    # One call per batch, with batches in parallel: as fast as one call per record, and parsing is shared.
    return lambda encoded: tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(shape, dtype))


def _gather_weights(weights: Sequence[float], ids: Any) -> Any:
    """Return the weight of each class id, float32 in the shape of the ids; 0 for those that are no class."""
    ids = tf.cast(ids, tf.int32)
    known = (ids >= 0) & (ids < len(weights))
    return tf.gather(tf.constant([*weights, 0.0], tf.float32), tf.where(known, ids, len(weights)))
