"""Records of any combination of fields: what is encoded comes back, and all that is said of records says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.dataset.manifest import Manifest
from precompute.dataset.schema_json import schema_of_json, schema_to_json
from precompute.dataset.tfds import tfds_files
from precompute.errors import DatasetError
from precompute.fields.feature import origin_values
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.images.png import encode_png
from precompute.records.example import decode_example, encode_example
from precompute.records.stored import decode_record, difference
from precompute.records.tfrecord import read_records
from tests.helpers.angles import AngleField
from tests.helpers.combined_fields import CLASSES, ORIGIN, Drawn, combined_fields, manifest_of
from tests.helpers.project import ROOT

IMAGE = ImageField(name="image", height=1, width=1, channels=3, encoding="png")
GOLDEN = sorted((ROOT / "tests/golden/growing").glob("*/golden"))

some = settings(max_examples=50)  # each makes a whole record


@some
@given(drawn=combined_fields())
def test_what_is_encoded_comes_back(drawn: Drawn) -> None:
    example = decode_record(drawn.record, drawn.schema)
    for name, value in drawn.entries.items():
        np.testing.assert_array_equal(example[name], value, err_msg=name)
    assert difference(example, drawn.schema) is None


@some
@given(drawn=combined_fields())
def test_a_record_holds_what_its_schema_says(drawn: Drawn) -> None:
    values = decode_example(drawn.record)
    assert values.keys() == drawn.schema.features.keys()
    for key, feature in drawn.schema.features.items():
        feature.read(values, key)


@some
@given(drawn=combined_fields())
def test_tensorflow_datasets_is_told_of_every_key(drawn: Drawn) -> None:
    files = tfds_files(manifest_of(drawn.schema), {})
    features = json.loads(files["features.json"])["featuresDict"]["features"]
    assert features.keys() == drawn.schema.features.keys()
    named = {f"{key.replace('/', '.')}.labels.txt" for key, f in features.items() if "ClassLabel" in json.dumps(f)}
    assert files.keys() - {"features.json", "dataset_info.json"} == named


@some
@given(drawn=combined_fields(), data=st.data())
def test_what_a_field_needs_must_be_there(drawn: Drawn, data: st.DataObject) -> None:
    values: dict[str, Any] = dict(decode_example(drawn.record))
    read = sorted(values.keys() - {"objects/bbox", "image/object/area"})  # those are for other readers
    key = data.draw(st.sampled_from(read))
    with pytest.raises(DatasetError, match=f"^{key}: expected .*, got None"):
        decode_record(encode_example(arrays_of({k: v for k, v in values.items() if k != key})), drawn.schema)


def arrays_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a record as they are encoded again: empty lists have no type, which makes no difference."""
    return {key: value[0] if len(value) == 1 else value for key, value in values.items()}


def test_a_field_compares_what_it_alone_knows() -> None:
    schema = Schema([IMAGE, AngleField(name="s")])
    assert difference({"image": np.zeros((1, 1, 3)), "format": "png", "s": np.array([720.0])}, schema) == (
        "its s go up to 720"
    )


def test_fields_have_keys_of_their_own() -> None:
    labels = [LabelField(name="label", **CLASSES), LabelField(name="labels", several=True, **CLASSES)]
    schema = Schema([IMAGE, *labels])
    with pytest.raises(ValueError, match="labels: another field has its keys in records, image/class/label, "):
        _ = schema.features
    with pytest.raises(DatasetError, match="d: schema: labels: another field has its keys in records"):
        schema_of_json(schema_to_json(schema), "d: schema")


def test_entries_of_examples_have_names_of_their_own() -> None:
    schema = Schema([IMAGE, LabelField(name="key", **CLASSES)])
    image = IMAGE.record_values(encode_png(np.zeros((1, 1, 3), np.uint8)), (1, 1))
    record = encode_example({**origin_values(**ORIGIN, size=(1, 1)), **image, **schema["key"].record_values(1, (1, 1))})
    with pytest.raises(DatasetError, match="key: another field of the schema gives examples 'key', too"):
        decode_record(record, schema)


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: str(folder.parent.name))
def test_what_a_build_writes_is_what_the_schema_says(folder: Path) -> None:
    features = Manifest.load(folder).schema.features
    records = [record for shard in (folder / "data").rglob("*.tfrecord-*") for record in read_records(shard)]
    for values in map(decode_example, records):
        assert values.keys() == features.keys()
        for key, feature in features.items():
            feature.read(values, key)
