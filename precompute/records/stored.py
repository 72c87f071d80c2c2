"""Stored records → arrays, without TensorFlow and without OpenCV: each field of the schema decodes its own keys.

All values come from the record itself; `difference` then compares them with what the schema says of all records.
"""

from __future__ import annotations

from typing import Any

from precompute.errors import DatasetError
from precompute.fields.feature import decode_origin, decode_size
from precompute.fields.field import Schema
from precompute.records.example import decode_example

__all__ = ["count_objects", "decode_record", "difference"]

Example = dict[str, Any]


def decode_record(record: bytes, schema: Schema) -> Example:
    """Return one stored record as Python and NumPy values.

    Args:
        record: Bytes of the record.
        schema: Fields that it should have; other keys are passed over.

    Returns:
        `key` and `filename` (str), `seed`, `variant` (−1 in the original row), `copy` and `source_id` (int); then what
        each field decodes, such as `image` (uint8 [H, W, C]), `label`, `mask`, `boxes`.

    Raises:
        DatasetError: It is not a record of this format, or what a field needs is missing or cannot be decoded.
    """
    values = decode_example(record)
    size = decode_size(values)
    example: Example = decode_origin(values)
    for field in schema.values():
        for name, value in field.decode(values, size).items():
            if isinstance(value, dict):  # several fields share it
                example.setdefault(name, {}).update(value)
            elif name in example:
                raise DatasetError(f"{field.name}: another field of the schema gives examples {name!r}, too.")
            else:
                example[name] = value
    return example


def count_objects(record: bytes, schema: Schema) -> int:
    """Return the number of objects in a record, over all fields with objects."""
    values = decode_example(record)
    return sum(len(values[key]) for key in schema.counted_keys)


def difference(example: Example, schema: Schema) -> str | None:
    """Return how an example of `decode_record` differs from what the schema says of all records, or None."""
    return next((found for field in schema.values() if (found := field.difference(example))), None)
