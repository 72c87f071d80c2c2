"""How many images a second are read: from our shards, by TensorFlow Datasets, from memory, and augmented online.

One data set (`nuclei` of PRECOMPUTE_TEST_DATA, else cells that are drawn), built once an encoding; batches of 32 images
of 256×256 with masks. All arms take turns within one run. A figure is of the batches after the first 16, so that
opening files and starting threads is not in it.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
from bench_common import add_output, alternate, print_table, ratio, save, spread
from demo_data import draw_cells

BATCH_SIZE = 32
SIZE = 256
WARM_UP = 16  # batches that are not counted
ENCODINGS = ("raw", "jpeg", "png")
HELD_RECORDS = 512  # of the arms in memory, read again and again
# (what, of which arms, at least; None: reported without a target)
TARGETS = (
    ("raw ours", "raw tfds", 2.5),
    ("raw ours", "png tfds", 2.5),
    ("raw ours", "jpeg tfds", 2.5),
    ("jpeg ours", "jpeg tfds", 1.0),
    ("png ours", "png tfds", None),
    ("raw ours", "raw in memory", 0.9),
    ("jpeg ours", "jpeg in memory", 0.9),
    ("png ours", "png in memory", 0.9),
    ("raw ours", "online", 40.0),
    ("jpeg ours", "online", 15.0),
    ("cached ours", "cached tfds", 1.0),
)


def pipeline() -> A.Compose:
    """Return what is augmented with, before and online."""
    return A.Compose(
        [A.HorizontalFlip(p=0.5), A.Rotate(limit=15, p=0.5), A.RandomBrightnessContrast(p=0.3), A.Resize(SIZE, SIZE)]
    )


def find_sources(folder: Path, num_sources: int) -> Path:
    """Return a folder of images and masks: real ones, else drawn; each several times over until there are enough."""
    data = os.environ.get("PRECOMPUTE_TEST_DATA")
    if data:
        pairs = Path(data) / "nuclei"
    else:
        pairs = folder / "drawn"
        draw_cells(pairs, min(num_sources, 160))
    images = sorted((pairs / "images").iterdir())
    for kind in ("images", "masks"):
        (folder / "sources" / kind).mkdir(parents=True)
    for number in range(num_sources):
        image = images[number % len(images)]
        for path in (image, next((pairs / "masks").glob(f"{image.stem}.*"))):
            shutil.copy(path, folder / "sources" / path.parent.name / f"{number:05d}{path.suffix}")
    return folder / "sources"


def build(sources: Path, out: Path, encoding: str, num_rows: int) -> Path:
    """Build the rows with one encoding of images and masks."""
    import precompute

    precompute.build(
        sources,
        out / encoding,
        pipeline={"train": pipeline()},
        variants=num_rows,
        image_format=encoding,
        mask_map={255: 1},
        quiet=True,
    )
    return out / encoding


# Arms: each returns a dataset of batches that may be iterated anew


def ours(folder: Path, cache: bool = False) -> Any:
    """Return `precompute.load`; one row, held in memory, or all rows in one epoch, streamed."""
    import precompute

    return precompute.load(folder, batch_size=BATCH_SIZE, rows=[0] if cache else "all", cache=cache)


def tfds_of(folder: Path, num_rows: int, cache: bool = False) -> Any:
    """Return `as_dataset` of TensorFlow Datasets on the same folder, without what a user of masks does not ask for.

    Its cache stands where TensorFlow Datasets puts it: after decoding, before batches are made.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    rows = ["train_r0000"] if cache else [f"train_r{number:04d}" for number in range(num_rows)]
    dataset = tfds.builder_from_directory(str(folder)).as_dataset(
        split="+".join(rows),
        shuffle_files=not cache,
        read_config=tfds.ReadConfig(try_autocache=False, skip_prefetch=True),
        decoders=tfds.decode.PartialDecoding({"image/encoded": True, "image/segmentation/class/encoded": True}),
    )
    dataset = dataset.cache() if cache else dataset
    return dataset.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


def in_memory(folder: Path) -> Any:
    """Return the same decoding of records that are in memory already: what reading files cannot beat."""
    import tensorflow as tf

    from precompute.dataset.manifest import Manifest
    from precompute.readers.tf.batches import batch_parser, choose_fields, make_twins

    shards = sorted(str(path) for path in (folder / "data").rglob("*-train_r0000.tfrecord-*"))
    records = np.array(list(tf.data.TFRecordDataset(shards).take(HELD_RECORDS).as_numpy_iterator()), object)
    batches = tf.data.Dataset.from_tensor_slices(records.reshape(-1, BATCH_SIZE)).repeat()
    manifest = Manifest.load(folder)
    parse = batch_parser(make_twins(manifest, choose_fields(manifest.schema).names))
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def online(sources: Path) -> Any:
    """Return a Keras sequence that decodes and augments when it is read, with as many workers as there are cores."""
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    class Sequence(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=os.cpu_count() or 1, use_multiprocessing=False)
            self.images = sorted((sources / "images").iterdir())
            self.augment = pipeline()

        def __len__(self) -> int:
            return math.ceil(len(self.images) / BATCH_SIZE)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            examples = [self.example(path) for path in self.images[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]]
            return tuple(np.stack(part) for part in zip(*examples, strict=True))

        def example(self, path: Path) -> tuple[Any, Any]:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            mask = cv2.imread(str(sources / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
            made = self.augment(image=image, mask=(mask > 0).astype(np.uint8))
            return made["image"], made["mask"]

    return PyDatasetAdapter(Sequence(), shuffle=True).get_tf_dataset()


def images_per_second(dataset: Iterable[Any], seconds: float, warm_up: int = WARM_UP) -> float:
    """Read for so long, or to the end, and return the rate after the first batches.

    Without a warm-up the clock runs from the start: what was made ahead before it would flatter a slow reader.
    """
    began = time.perf_counter()
    iterator = iter(dataset)
    for _ in range(warm_up):
        next(iterator)
    num_images = 0
    if warm_up:
        began = time.perf_counter()
    for batch in _until(iterator, began + seconds):
        images = batch["image/encoded"] if isinstance(batch, dict) else batch[0]
        num_images += len(images)
    return num_images / (time.perf_counter() - began)


def _until(iterator: Iterator[Any], end: float) -> Iterator[Any]:
    for batch in iterator:
        yield batch
        if time.perf_counter() > end:
            return


def make_arms(folders: dict[str, Path], sources: Path, num_rows: int, seconds: float) -> dict[str, Callable[[], float]]:
    """Return what is measured, by name."""
    datasets: dict[str, Any] = {}
    for encoding, folder in folders.items():
        datasets[f"{encoding} ours"] = ours(folder)
        datasets[f"{encoding} tfds"] = tfds_of(folder, num_rows)
        datasets[f"{encoding} in memory"] = in_memory(folder)
    if "jpeg" in folders:
        datasets["cached ours"] = ours(folders["jpeg"], cache=True)
        datasets["cached tfds"] = tfds_of(folders["jpeg"], num_rows, cache=True)
        for _ in datasets["cached tfds"]:
            pass  # the cache is whole once all was read

    def measure(name: str) -> float:
        if name == "online":
            # A new one each time: Keras' sequence hangs when it is read again after it was left in the middle.
            return images_per_second(online(sources), 2 * seconds, warm_up=0)
        return images_per_second(datasets[name], seconds)

    return {name: (lambda name=name: measure(name)) for name in [*datasets, "online"]}


def report(figures: dict[str, list[float]], folders: dict[str, Path]) -> dict[str, Any]:
    """Print both tables and return what they show."""
    rates = {name: spread(values) for name, values in figures.items()}
    print_table(
        ["", "images/s", "least", "most"],
        [[name, round(rate["median"]), round(rate["min"]), round(rate["max"])] for name, rate in rates.items()],
    )
    print()
    compared = []
    for one, other, target in TARGETS:
        if one in figures and other in figures:
            found = ratio(figures[one], figures[other])
            compared.append({"of": one, "to": other, "target": target, **found})
    print_table(
        ["ratio", "median", "least", "most", "target", ""],
        [
            [
                f"{c['of']} / {c['to']}",
                *(f"{c[k]:.2f}" for k in ("median", "min", "max")),
                c["target"] or "–",
                _verdict(c),
            ]
            for c in compared
        ],
    )
    sizes = {
        encoding: sum(path.stat().st_size for path in folder.rglob("*.tfrecord-*"))
        for encoding, folder in folders.items()
    }
    return {"images_per_second": rates, "figures": figures, "ratios": compared, "bytes_on_disk": sizes}


def _verdict(compared: dict[str, Any]) -> str:
    if compared["target"] is None:
        return ""
    return "reached" if compared["median"] >= compared["target"] else "missed"


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--num-images", type=int, default=1280, help="sources; a row has as many records (default: 1280)"
    )
    parser.add_argument("--rows", type=int, default=4, help="rows (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="that are counted (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default: 2)")
    parser.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=list(ENCODINGS))
    parser.add_argument("--folder", type=Path, help="keep the datasets here, and use those that are there")
    add_output(parser)
    arguments = parser.parse_args()
    if arguments.num_images < BATCH_SIZE * (WARM_UP + 4):
        parser.error(f"--num-images: expected {BATCH_SIZE * (WARM_UP + 4)} or more, got {arguments.num_images}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        there = (folder / "sources").is_dir()
        sources = folder / "sources" if there else find_sources(folder, arguments.num_images)
        folders = {encoding: build(sources, folder, encoding, arguments.rows) for encoding in arguments.encodings}
        arms = make_arms(folders, sources, arguments.rows, arguments.seconds)
        results = report(alternate(arms, arguments.rounds), folders)
    settings = {"batch_size": BATCH_SIZE, "num_images": arguments.num_images, "num_rows": arguments.rows}
    save(arguments.output, {"settings": {**settings, "seconds": arguments.seconds}, **results})


if __name__ == "__main__":
    main()
