"""How fast PNG files are written and read: ours beside OpenCV's, for class ids and for photographs.

Pixels are those of records: `nuclei` and `clothing` of PRECOMPUTE_TEST_DATA, else cells that are drawn, resized to
256×256. TensorFlow reads the files, since it does in training. Encoders take turns within one run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench_common import add_output, alternate, print_table, ratio, save, spread
from demo_data import draw_cells
from numpy.typing import NDArray

from precompute.images.encode import encode_image, encode_mask
from precompute.program.memory import tune_malloc

SIZE = 256
MAX_PICTURES = 60  # pictures of a kind
# The best of OpenCV's settings for class ids; OpenCV before 4.12 has no such choice.
MASK_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 2, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
Encode = Callable[[NDArray[Any]], bytes]


def opencv_image(image: NDArray[Any]) -> bytes:
    """Return RGB as OpenCV writes it when nothing is said."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def opencv_mask(mask: NDArray[Any]) -> bytes:
    """Return class ids as OpenCV writes them when nothing is said."""
    return cv2.imencode(".png", mask)[1].tobytes()


def opencv_mask_tuned(mask: NDArray[Any]) -> bytes:
    """Return class ids with the settings of OpenCV that suit them best."""
    return cv2.imencode(".png", mask, MASK_SETTINGS)[1].tobytes()


KINDS: dict[str, dict[str, Encode]] = {
    "masks": {"ours": lambda mask: encode_mask(mask, "png"), "OpenCV": opencv_mask, "OpenCV, tuned": opencv_mask_tuned},
    "images": {"ours": lambda image: encode_image(image, "png", 0), "OpenCV": opencv_image},
}


def find_pictures(folder: Path) -> dict[str, list[NDArray[Any]]]:
    """Return pictures by kind."""
    data = os.environ.get("PRECOMPUTE_TEST_DATA")
    cells, photographs = (Path(data) / "nuclei", Path(data) / "clothing") if data else (folder, folder / "images")
    if not data:
        draw_cells(folder, MAX_PICTURES)
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((cells / "masks").iterdir())[:MAX_PICTURES]]
    files = [path for path in sorted(photographs.rglob("*")) if path.suffix in (".jpg", ".png")][:MAX_PICTURES]
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in files]
    return {
        "masks": [
            cv2.resize((mask > 0).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) for mask in masks
        ],
        "images": [cv2.resize(image, (SIZE, SIZE)) for image in images],
    }


def _ms_each(function: Callable[[], Any], number: int) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) / number * 1e3


def reader(encoded: Sequence[bytes], channels: int) -> Callable[[], Any]:
    """Return a function that decodes them all, as one graph."""
    import tensorflow as tf

    files, spec = tf.constant(encoded), tf.TensorSpec((SIZE, SIZE, channels), tf.uint8)

    @tf.function
    def read() -> Any:
        return tf.map_fn(lambda file: tf.io.decode_png(file, channels=channels), files, fn_output_signature=spec)

    read()
    return read


def compare(kind: str, pictures: Sequence[NDArray[Any]], rounds: int) -> list[dict[str, Any]]:
    """Return for each encoder milliseconds to write and to read a picture, beside ours, and bytes."""
    encoders, number, channels = KINDS[kind], len(pictures), 1 if kind == "masks" else 3
    files = {name: [encode(picture) for picture in pictures] for name, encode in encoders.items()}
    readers = {name: reader(encoded, channels) for name, encoded in files.items()}
    write = {
        name: lambda encode=encode: _ms_each(lambda: [encode(picture) for picture in pictures], number)
        for name, encode in encoders.items()
    }
    writing = alternate(write, rounds)
    reading = alternate({name: lambda read=read: _ms_each(read, number) for name, read in readers.items()}, rounds)
    return [
        {
            "kind": kind,
            "encoder": name,
            "write_ms": spread(writing[name]),
            "read_ms": spread(reading[name]),
            "bytes": sum(map(len, files[name])) / number,
            "write_to_ours": ratio(writing[name], writing["ours"]),
            "read_to_ours": ratio(reading[name], reading["ours"]),
        }
        for name in encoders
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="that are counted (default: 9)")
    add_output(parser)
    arguments = parser.parse_args()
    tune_malloc()  # as workers do
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        pictures = find_pictures(Path(folder))
    found = [line for kind in KINDS for line in compare(kind, pictures[kind], arguments.rounds)]
    print_table(
        ["PNG of", "by", "ms to write", "ms to read", "bytes", "writing / ours", "reading / ours"],
        [
            [
                *(line["kind"], line["encoder"], line["write_ms"]["median"], line["read_ms"]["median"]),
                *(round(line["bytes"]), line["write_to_ours"]["median"], line["read_to_ours"]["median"]),
            ]
            for line in found
        ],
    )
    save(arguments.output, {"results": found})


if __name__ == "__main__":
    main()
