"""The files by which TensorFlow Datasets opens a dataset's folder: ``tfds.builder_from_directory(OUT)``.

TensorFlow Datasets is not imported: the files are small JSON, made from the manifest, and a test compares them with
those that TensorFlow Datasets writes. Each row is a split of its own (``train_r0000``; one reads two rows as
``train_r0000+train_r0001``), and ``train``, ``validation``, ``test`` are the first listed row of each.

Source: https://github.com/tensorflow/datasets/tree/v4.9.10/tensorflow_datasets/core/proto (dataset_info.proto and
feature.proto: messages as protobuf's JSON, so 64-bit integers are strings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

from precompute.dataset.json_files import dump
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import RowFile
from precompute.fields.feature import Box, ClassIndex, Feature, Number, Picture, Text
from precompute.fields.image import ImageField

__all__ = ["tfds_files"]

FEATURES = "tensorflow_datasets.core.features"

Json = dict[str, Any]


def tfds_files(manifest: Manifest, row_files: Mapping[str, Sequence[RowFile]]) -> dict[str, bytes]:
    """Return the content of each file for TensorFlow Datasets, by its name in the dataset's folder.

    JPEG and PNG open as its Image feature, raw pixels as its Tensor feature with ``encoding: bytes``. All of them yield
    uint8 [H, W, C], and masks uint8 or uint16 [H, W, 1].

    Args:
        row_files: Split → the row files of its listed rows, in the order of the manifest.
    """
    features = manifest.schema.features
    files = {
        "dataset_info.json": dump(_dataset_info(manifest, row_files)),
        "features.json": dump(_features_dict(features, manifest.image)),
    }
    for key, feature in features.items():
        if isinstance(feature, ClassIndex) and _names_survive(feature):
            # TensorFlow Datasets looks for the names beside features.json, the slashes of the key turned into dots.
            files[f"{key.replace('/', '.')}.labels.txt"] = _lines(feature.class_names)
    return files


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _names_survive(feature: ClassIndex) -> bool:
    """Return whether TensorFlow Datasets reads names unchanged; it strips lines, skips empty ones, refuses doubles."""
    written = _lines(feature.class_names).decode().split("\n")
    read = [name.strip() for name in written if name.strip()]
    return read == list(feature.class_names) and len(set(read)) == len(read) == feature.num_classes


def _dataset_info(manifest: Manifest, row_files: Mapping[str, Sequence[RowFile]]) -> Json:
    splits = []
    for split, rows in row_files.items():
        splits += [_split(manifest, name=split, row=row) for row in rows[:1]]
        splits += [_split(manifest, name=_row_name(row), row=row) for row in rows]
    return {
        "name": manifest.name,
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "moduleName": "precompute",
        "releaseNotes": {},
        "splits": splits,
    }


def _row_name(row: RowFile) -> str:
    return f"{row.split}_r{row.row:04d}"


def _split(manifest: Manifest, *, name: str, row: RowFile) -> Json:
    """Return a split of TensorFlow Datasets that reads this row.

    The template spells the row out, where ``{SPLIT}`` would do, because ``train`` reads a row, too.
    """
    return {
        "name": name,
        "shardLengths": [str(shard.num_records) for shard in row.shards],
        "numBytes": str(sum(shard.num_bytes for shard in row.shards)),
        "filepathTemplate": f"data/{manifest.generation}/{{DATASET}}-{_row_name(row)}.{{FILEFORMAT}}-{{SHARD_X_OF_Y}}",
    }


def _features_dict(features: Mapping[str, Feature], image: ImageField) -> Json:
    described = {key: _described(features[key], image) for key in sorted(features)}
    return _json("features_dict.FeaturesDict", featuresDict={"features": described})


def _described(feature: Feature, image: ImageField) -> Json:
    one = _one_value(feature, image)
    if not feature.several:
        return one
    return _json("sequence_feature.Sequence", sequence={"feature": one, "length": "-1"})


@singledispatch
def _one_value(feature: Feature, image: ImageField) -> Json:
    """Return TensorFlow Datasets' description of one value of a feature."""
    raise TypeError(f"expected one of the features of precompute.fields.feature, got {feature!r}")


@_one_value.register
def _(feature: Number, image: ImageField) -> Json:
    return _json("scalar.Scalar", tensor={"shape": {}, "dtype": feature.dtype, "encoding": "none"})


@_one_value.register
def _(feature: Text, image: ImageField) -> Json:
    return _json("text_feature.Text", text={})


@_one_value.register
def _(feature: ClassIndex, image: ImageField) -> Json:
    return _json("class_label_feature.ClassLabel", classLabel={"numClasses": str(feature.num_classes)})


@_one_value.register
def _(feature: Picture, image: ImageField) -> Json:
    shape = {"dimensions": [str(size) for size in (image.height, image.width, feature.channels)]}
    if feature.encoding == "raw":
        return _json("tensor_feature.Tensor", tensor={"shape": shape, "dtype": feature.pixels, "encoding": "bytes"})
    described = {"shape": shape, "dtype": feature.pixels, "encodingFormat": feature.encoding}
    return _json("image_feature.Image", image=described)


@_one_value.register
def _(feature: Box, image: ImageField) -> Json:
    box = {"shape": {"dimensions": ["4"]}, "dtype": feature.dtype, "bboxFormat": "REL_YXYX"}
    return _json("bounding_boxes.BBoxFeature", boundingBox=box)


def _json(class_name: str, **content: Json) -> Json:
    return {"pythonClassName": f"{FEATURES}.{class_name}", **content}
