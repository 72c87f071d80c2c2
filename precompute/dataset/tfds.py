"""The files by which TensorFlow Datasets opens a dataset's folder: ``tfds.builder_from_directory(OUT)``.

Nothing of TensorFlow Datasets is imported: the files are small JSON, derived from the manifest, and a test holds them
against what TensorFlow Datasets writes itself. Each row is a split of its own (``train_r0000``; one reads two rows as
``train_r0000+train_r0001``), and ``train``, ``validation``, ``test`` are the first listed row of each.

Source: https://github.com/tensorflow/datasets/tree/v4.9.10/tensorflow_datasets/core/proto (dataset_info.proto and
feature.proto: messages as protobuf's JSON, so 64-bit integers are strings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from precompute.dataset.json_files import dump
from precompute.dataset.manifest import IMAGE_ONLY, OBJECTS, Manifest, Target
from precompute.dataset.rows import RowFile
from precompute.fields.image import ImageField

__all__ = ["tfds_files"]

FEATURES = "tensorflow_datasets.core.features"
LABEL_KEY = "image/class/label"
WEIGHT_KEY = "augment/weight"
BOX_LABEL_KEY = "image/object/class/label"
BOX_FLOATS = (*(f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax")), "image/object/area")
BOX_FLAGS = ("image/object/is_crowd", "image/object/difficult", "image/object/truncated")
POINT_FLOATS = ("image/object/keypoint/x", "image/object/keypoint/y")
POINT_NUMBERS = ("image/object/keypoint/num", "image/object/keypoint/visibility")

Json = dict[str, Any]


def tfds_files(manifest: Manifest, row_files: Mapping[str, Sequence[RowFile]]) -> dict[str, bytes]:
    """Return the content of each file for TensorFlow Datasets, by its name in the dataset's folder.

    JPEG and PNG open as its Image feature, raw pixels as its Tensor feature with ``encoding: bytes``. All of them yield
    uint8 [H, W, C], and masks uint8 or uint16 [H, W, 1].

    Args:
        manifest: The manifest with what is listed.
        row_files: Split → the row files of its listed rows, in the order of the manifest.
    """
    files = {
        "dataset_info.json": dump(_dataset_info(manifest, row_files)),
        "features.json": dump(_features_dict({**_features(manifest.image, manifest.target), **_extra(manifest.extra)})),
    }
    if manifest.target.kind not in ("mask", IMAGE_ONLY) and _names_survive(manifest.target):
        # TensorFlow Datasets looks for the names beside features.json, the slashes of the key turned into dots.
        key = BOX_LABEL_KEY if manifest.target.kind in OBJECTS else LABEL_KEY
        files[f"{key.replace('/', '.')}.labels.txt"] = _lines(manifest.target.class_names)
    return files


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _names_survive(target: Target) -> bool:
    """Whether TensorFlow Datasets reads the names as written: it strips lines, skips empty ones and refuses doubles."""
    written = _lines(target.class_names).decode().split("\n")
    read = [name.strip() for name in written if name.strip()]
    return read == target.class_names and len(set(read)) == len(read) == target.num_classes


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

    The row is written out in the template, where ``{SPLIT}`` would do, because ``train`` reads a row too.
    """
    return {
        "name": name,
        "shardLengths": [str(shard.num_records) for shard in row.shards],
        "numBytes": str(sum(shard.num_bytes for shard in row.shards)),
        "filepathTemplate": f"data/{manifest.generation}/{{DATASET}}-{_row_name(row)}.{{FILEFORMAT}}-{{SHARD_X_OF_Y}}",
    }


def _features(image: ImageField, target: Target) -> dict[str, Json]:
    features = {
        "image/encoded": _picture(image.encoding, "uint8", (image.height, image.width, image.channels)),
        **dict.fromkeys(("image/format", "image/source_id", "image/filename", "augment/key"), _text()),
        **dict.fromkeys(("image/height", "image/width"), _scalar()),
        **dict.fromkeys(("augment/seed", "augment/variant", "augment/copy"), _scalar()),
    }
    label = _feature("class_label_feature.ClassLabel", classLabel={"numClasses": str(target.num_classes)})
    if target.kind == "class":
        features |= {LABEL_KEY: label, "image/class/text": _text()}
    elif target.kind == "multilabel":
        features |= {LABEL_KEY: _sequence(label), "image/class/text": _sequence(_text())}
    elif target.kind in OBJECTS:
        features |= {BOX_LABEL_KEY: _sequence(label), "image/object/class/text": _sequence(_text())}
        has_boxes = target.keypoints is None or target.keypoints.boxed
        if has_boxes:
            features |= dict.fromkeys(BOX_FLOATS, _sequence(_scalar("float32")))
            features["objects/bbox"] = _sequence(_box())
        features |= dict.fromkeys(BOX_FLAGS, _sequence(_scalar()))
        if target.keypoints is not None:
            features |= dict.fromkeys(POINT_FLOATS, _sequence(_scalar("float32")))
            features |= dict.fromkeys(POINT_NUMBERS, _sequence(_scalar()))
            features["image/object/keypoint/text"] = _sequence(_text())
        if target.kind == "instances":
            features["image/object/mask"] = _sequence(_picture("png", "uint8", (image.height, image.width, 1)))
    elif target.kind == "mask":
        shape = (image.height, image.width, 1)
        features["image/segmentation/class/encoded"] = _picture(
            target.encoding or "png", target.dtype or "uint8", shape
        )
        features["image/segmentation/class/format"] = _text()
    return features


def _extra(types: Mapping[str, str]) -> dict[str, Json]:
    kinds = {"int": _scalar(), "float": _scalar("float32"), "text": _text()}
    return {WEIGHT_KEY if name == "weight" else f"extra/{name}": kinds[kind] for name, kind in types.items()}


def _features_dict(features: dict[str, Json]) -> Json:
    return _feature("features_dict.FeaturesDict", featuresDict={"features": dict(sorted(features.items()))})


def _picture(encoding: str, dtype: str, shape: tuple[int, ...]) -> Json:
    dimensions = {"dimensions": [str(size) for size in shape]}
    if encoding == "raw":
        return _feature("tensor_feature.Tensor", tensor={"shape": dimensions, "dtype": dtype, "encoding": "bytes"})
    return _feature("image_feature.Image", image={"shape": dimensions, "dtype": dtype, "encodingFormat": encoding})


def _sequence(feature: Json) -> Json:
    return _feature("sequence_feature.Sequence", sequence={"feature": feature, "length": "-1"})


def _box() -> Json:
    box = {"shape": {"dimensions": ["4"]}, "dtype": "float32", "bboxFormat": "REL_YXYX"}
    return _feature("bounding_boxes.BBoxFeature", boundingBox=box)


def _text() -> Json:
    return _feature("text_feature.Text", text={})


def _scalar(dtype: str = "int64") -> Json:
    return _feature("scalar.Scalar", tensor={"shape": {}, "dtype": dtype, "encoding": "none"})


def _feature(class_name: str, **content: Json) -> Json:
    return {"pythonClassName": f"{FEATURES}.{class_name}", **content}
