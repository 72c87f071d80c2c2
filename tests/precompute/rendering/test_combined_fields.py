"""Fields together in one record: each becomes what it becomes alone; and a type of field that this test alone knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import albumentations as A
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from precompute.fields.boxes import Boxes, Instances
from precompute.fields.feature import Feature, Picture, Size, Value, Values
from precompute.fields.field import Field
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField
from precompute.images.instance_masks import with_boxes
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.records.example import decode_example
from precompute.rendering.decode import Decoded
from precompute.rendering.fields.renderer import Renderer, renderer_type
from precompute.rendering.render import augment, encode_record
from precompute.rendering.spec import RecordSpec
from tests.helpers.decoded_sources import spec_of

HEIGHT, WIDTH = 24, 20
CLASSES: dict[str, Any] = {"num_classes": 3, "class_names": ["a", "b", "c"]}
POINTS = Skeleton(names=["left", "right"], flip_pairs=[[0, 1]])


# A type of field that moves with the pixels, and that this test alone knows


@dataclass(frozen=True, kw_only=True)
class DepthField(Field):
    """A distance a pixel, uint8 [H, W] of the image."""

    type: ClassVar[str] = "depth"

    @property
    def is_target(self) -> bool:
        return True

    @property
    def features(self) -> Mapping[str, Feature]:
        return {f"depth/{self.name}": Picture(channels=1, pixels="uint8", encoding="raw")}

    def record_values(self, value: bytes, size: Size) -> dict[str, Value]:
        return {f"depth/{self.name}": value}

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        (content,) = values[f"depth/{self.name}"]
        return {self.name: np.frombuffer(content, np.uint8).reshape(size)}  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class DepthRenderer(Renderer):
    """Lets distances move as masks do."""

    @property
    def further_targets(self) -> dict[str, str]:
        return {self.name: "mask"}

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        return (self.name,)

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        return {} if value is None else {self.name: value}

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        return made[self.name]

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        return self.field.record_values(value.tobytes(), size)


@renderer_type.register
def _(field: DepthField) -> type[Renderer]:
    return DepthRenderer


OBJECTS = {
    "boxes": ObjectsField(name="objects", **CLASSES),
    "keypoints": ObjectsField(name="objects", keypoints=POINTS, **CLASSES),
    "masks": ObjectsField(name="objects", has_masks=True, **CLASSES),
}
OTHERS: list[Field] = [
    LabelField(name="label", **CLASSES),
    LabelField(name="tags", several=True, **CLASSES),
    MaskField(name="mask", **CLASSES),
    MaskField(name="mask_fine", num_classes=256, class_names=[]),
    ValueField(name="age", dtype="int"),
    ValueField(name="weight", dtype="float"),
    DepthField(name="distance"),
]
MOVING = A.Compose(
    [
        A.HorizontalFlip(),
        A.VerticalFlip(),
        A.Affine(scale=(0.8, 1.2), rotate=(-20, 20), translate_percent=(-0.1, 0.1), p=0.7),
        A.RandomCrop(16, 14),
        A.Resize(18, 18),
    ]
)


def value_of(field: Field, rng: np.random.Generator) -> Any:
    """A value that a field of a source of these pixels may have."""
    if isinstance(field, LabelField):
        return (0, 2) if field.several else 1
    if isinstance(field, MaskField):
        return rng.integers(0, field.num_classes, (HEIGHT, WIDTH), dtype=np.uint8)
    if isinstance(field, DepthField):
        return rng.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    if isinstance(field, ValueField):
        return 7 if field.dtype == "int" else 0.5
    if isinstance(field, ObjectsField) and field.has_masks:
        return some_instances()
    points = [[3, 4, 2, 9, 8, 1], [10, 15, 2, 12, 19, 0]]
    rows = [[2, 3, 11, 10, 0, 0], [9, 12, 18, 22, 2, 1]]
    has_points = isinstance(field, ObjectsField) and field.keypoints is not None
    return Boxes.of_rows(rows, (WIDTH, HEIGHT), points if has_points else None)


def some_instances() -> Instances:
    """Two objects with masks."""
    layers = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    layers[0, 3:10, 2:11], layers[0, 12:22, 9:18] = 1, 2
    return with_boxes(
        Instances(
            corners=np.zeros((2, 4), np.float32),
            labels=np.array([0, 2], np.int32),
            flags=np.array([0, 1], np.uint8),
            layers=layers,
            layer_index=np.array([[0, 1], [0, 2]], np.int32),
        )
    )


def pipeline_of(spec: RecordSpec) -> bytes:
    """The pipeline of records of these fields, pickled."""
    return prepare(MOVING, "train", **spec.pipeline_rules).pickled


def made(fields: list[Field], image: Any, values: Mapping[str, Any], variant: int) -> tuple[Any, dict[str, Any]]:
    """The image and the values of these fields in a variant, and what their record gives back."""
    spec = spec_of(*fields)
    chosen = {field.name: values[field.name] for field in fields}
    source = Decoded(key="k", filename="k.png", image=image, values=chosen, hashes={"image": ""})
    moved, found = augment(source, Pipeline(pipeline_of(spec)), spec, seed=0, variant=variant)
    record = encode_record(source, moved, found, spec, seed=0, variant=variant)
    return moved, {**found, "stored": {field.name: field.decode(decode_example(record), (18, 18)) for field in fields}}


def same(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a == b)


@settings(max_examples=20)
@given(
    chosen=st.sets(st.integers(0, len(OTHERS) - 1), min_size=1),
    objects=st.sampled_from([None, *OBJECTS]),
    variant=st.integers(0, 10**6),
)
def test_each_field_becomes_what_it_becomes_alone(chosen: set[int], objects: str | None, variant: int) -> None:
    fields = [OTHERS[i] for i in sorted(chosen)] + ([] if objects is None else [OBJECTS[objects]])
    rng = np.random.default_rng(variant)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    values = {field.name: value_of(field, rng) for field in fields}
    moved, together = made(fields, image, values, variant)
    for field in fields:
        pixels, alone = made([field], image, values, variant)
        assert np.array_equal(moved, pixels)
        assert same(together[field.name], alone[field.name])
        np.testing.assert_equal(together["stored"][field.name], alone["stored"][field.name])
