"""The other arms of bench_write.py: what people write by hand, a naive script and a good one.

    python scripts/bench_write_by_hand.py naive|good '{"sources": …, "out": …, "pipeline": "light", …}'

`naive` is the script that is written first: multiprocessing with spawned workers, TensorFlow in each of them, a source
decoded again for every variant, `tf.io.encode_*`, `tf.train.Example`, `tf.io.TFRecordWriter`.

`good` is what someone writes who has measured: forked workers, each source decoded once with OpenCV, OpenCV's encoders,
one OpenCV thread a worker, records and their framing put together without TensorFlow. It has no seeds (forked workers
repeat each other's draws), no checks, no checksums, nothing atomic, nothing synced, and cannot go on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from bench_write_arms import Config
from bench_write_data import PIPELINES, pairs_of

__all__ = ["main", "write_source"]

CHUNKS_A_JOB = 16
Pair = tuple[Path, Path]


def _in_chunks(config: Config) -> list[tuple[Config, int, list[Pair]]]:
    pairs = pairs_of(Path(config["sources"]))
    size = max(1, -(-len(pairs) // (CHUNKS_A_JOB * config["jobs"])))
    return [(config, start, pairs[start : start + size]) for start in range(0, len(pairs), size)]


def _run(config: Config, method: str, write_chunk: Callable[[Any], int]) -> dict[str, float]:
    start = time.perf_counter()
    Path(config["out"]).mkdir(parents=True)
    with multiprocessing.get_context(method).Pool(config["jobs"]) as pool:
        records = sum(pool.imap_unordered(write_chunk, _in_chunks(config)))
    return {"seconds": time.perf_counter() - start, "records": records}


def _write_naive(work: tuple[Config, int, list[Pair]]) -> int:
    import tensorflow as tf

    config, start, pairs = work
    transform, records = PIPELINES[config["pipeline"]](), 0
    with tf.io.TFRecordWriter(f"{config['out']}/train-{start:05d}.tfrecord") as writer:
        for variant in range(config["variants"]):
            for image_path, mask_path in pairs:
                image = tf.io.decode_png(tf.io.read_file(str(image_path)), channels=3).numpy()
                mask = tf.io.decode_png(tf.io.read_file(str(mask_path)), channels=1).numpy()[..., 0] // 255
                done = transform(image=image, mask=mask)
                features = {
                    "image/encoded": tf.io.encode_jpeg(done["image"], quality=95).numpy(),
                    "image/segmentation/class/encoded": tf.io.encode_png(done["mask"][..., None]).numpy(),
                    "image/filename": image_path.name.encode(),
                }
                feature = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for key, value in features.items()
                }
                feature["augment/variant"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[variant]))
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
                records += 1
    return records


def _write_good(work: tuple[Config, int, list[Pair]]) -> int:
    import cv2

    cv2.setNumThreads(0)
    config, start, pairs = work
    transform = PIPELINES[config["pipeline"]]()
    with Path(config["out"], f"train-{start:05d}.tfrecord").open("wb") as file:
        for pair in pairs:
            write_source(file, pair, transform, config["variants"])
    return len(pairs) * config["variants"]


def write_source(file: IO[bytes], pair: Pair, transform: Any, variants: int) -> None:
    """Write all variants of a source, as the good script does."""
    import cv2

    image_path, mask_path = pair
    image = cv2.cvtColor(cv2.imread(str(image_path)), cv2.COLOR_BGR2RGB)
    mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE) // 255
    for variant in range(variants):
        done = transform(image=image, mask=mask)
        bgr = cv2.cvtColor(done["image"], cv2.COLOR_RGB2BGR)
        record = _example(
            {
                b"augment/variant": b"%d" % variant,
                b"image/encoded": cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
                b"image/filename": image_path.name.encode(),
                b"image/segmentation/class/encoded": cv2.imencode(".png", done["mask"])[1].tobytes(),
            }
        )
        file.write(struct.pack("<QI", len(record), 0) + record + bytes(4))  # zeros where the checksums belong


def _example(features: dict[bytes, bytes]) -> bytes:
    """Return a serialized tf.train.Example of features of bytes."""
    entries = (
        _field(0x0A, _field(0x0A, key) + _field(0x12, _field(0x0A, _field(0x0A, value))))
        for key, value in features.items()
    )
    return _field(0x0A, b"".join(entries))


def _field(tag: int, content: bytes) -> bytes:
    size, header = len(content), bytearray([tag])
    while size >= 0x80:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    return bytes(header) + content


def main() -> None:
    """Run one arm and print its figures as JSON."""
    arm, config = sys.argv[1], json.loads(sys.argv[2])
    if arm == "good":
        import albumentations  # noqa: F401 (before the fork, so that it is imported once)

        figures = _run(config, "fork", _write_good)
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        figures = _run(config, "spawn", _write_naive)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
