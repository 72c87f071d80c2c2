"""What `fit` from shards costs a step, against `fit` from one batch that is held in memory.

The accelerator is a stand-in: its step takes the batch and then waits 50 ms without using the CPU, as a program does
that waits for a GPU. It waits in the main thread, so that neither Python nor a thread of TensorFlow's is kept from
reading. Shards are brought into the page cache before each measurement: it is not about disks. The models that really
learn do so on the CPU, where they and the loader share cores; they have no target.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_common import add_output, alternate, print_table, ratio, save, spread
from bench_read import build, find_sources
from demo_data import draw_shapes

WAIT_S = 0.050
ENCODINGS = ("raw", "jpeg")
MAX_MORE = 1.01  # a step of the accelerator, against memory


def make_accelerator() -> Any:
    """Return a model whose step takes a batch, and waits."""
    import keras

    class Accelerator(keras.Model):
        def make_train_function(self, force: bool = False) -> None:
            def step(iterator: Any) -> dict[str, float]:
                next(iterator)
                time.sleep(WAIT_S)
                return {"loss": 0.0}

            self.train_function = step

        def call(self, images: Any) -> Any:
            return images

    model = Accelerator()
    model.compile()
    return model


def make_learner(folder: Path, batch_size: int) -> Any:
    """Return the model that `train fit` would train on a dataset: a U-Net for masks, a small classifier for labels."""
    from precompute.dataset.manifest import Manifest
    from train.compiled import compile_model, make_network
    from train.options import FitOptions
    from train.tasks import make_task

    task, options = make_task(Manifest.load(folder), ignore_class=None), FitOptions(batch_size=batch_size)
    return compile_model(make_network(task, options, started=False), task, options, steps=100)


def step_ms(model: Any, dataset: Any, *, num_steps: int, batch_size: int, num_images: int) -> float:
    """Return the milliseconds of a step of `fit`, after the first few of a training."""
    from train.bench import StepClock
    from train.bench_options import BenchOptions

    clock = StepClock(BenchOptions(steps=num_steps, batch_size=batch_size, seconds=1e6), num_images)
    while not clock.is_over:
        model.fit(dataset, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
    return 1000 * clock.measured_s * batch_size / clock.num_images


def make_arms(
    folders: dict[str, Path], make_model: Callable[[Path], Any], name: str, *, num_steps: int, batch_size: int
) -> dict[str, Callable[[], float]]:
    """Return the arms of one model: one batch in memory, and each dataset."""
    import tensorflow as tf

    import precompute

    model = make_model(next(iter(folders.values())))
    given = {"batch_size": batch_size, "rows": "all", "cache": False, "drop_remainder": True}
    datasets = {encoding: precompute.load(folder, **given) for encoding, folder in folders.items()}
    first = next(iter(datasets.values()))
    in_memory = tf.data.Dataset.from_tensors(next(iter(first))).repeat(int(first.cardinality()))

    def measure(source: str, dataset: Any) -> float:
        for path in folders[source].rglob("*.tfrecord-*") if source in folders else ():
            path.read_bytes()
        num_images = int(dataset.cardinality()) * batch_size
        return step_ms(model, dataset, num_steps=num_steps, batch_size=batch_size, num_images=num_images)

    arms = {"memory": in_memory, **datasets}
    return {f"{name}, {source}": functools.partial(measure, source, dataset) for source, dataset in arms.items()}


def build_classes(folder: Path, num_rows: int) -> Path:
    """Build a dataset of classes: real ones, else drawn."""
    import albumentations as A

    import precompute

    data = os.environ.get("PRECOMPUTE_TEST_DATA")
    sources = Path(data) / "clothing" if data else folder / "shapes"
    if not data:
        draw_shapes(sources, 320)
    pipeline = {"train": A.Compose([A.Resize(128, 128), A.HorizontalFlip(p=0.5)])}
    precompute.build(sources, folder / "classes", pipeline=pipeline, variants=num_rows, quiet=True)
    return folder / "classes"


def report(figures: dict[str, list[float]]) -> dict[str, Any]:
    """Print the table and return what it shows."""
    rows, shown = [], []
    for name, values in figures.items():
        model, _, source = name.rpartition(", ")
        more = ratio(values, figures[f"{model}, memory"])
        target = MAX_MORE if model.startswith("wait") and source != "memory" else None
        verdict = "" if target is None else "reached" if more["median"] <= target else "missed"
        shown.append({"model": model, "source": source, "step_ms": spread(values), "to_memory": more, "target": target})
        rows.append(
            [model, source, f"{spread(values)['median']:.2f}"]
            + [f"{more[key]:.4f}" for key in ("median", "min", "max")]
            + [target or "–", verdict]
        )
    print_table(["step", "from", "ms a step", "to memory", "least", "most", "at most", ""], rows)
    return {"arms": shown, "figures": figures}


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num-images", type=int, default=640, help="sources with masks (default: 640)")
    parser.add_argument("--rows", type=int, default=4, help="rows, all in one epoch (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="that are counted (default: 5)")
    parser.add_argument("--steps", type=int, default=75, help="of the waiting step (default: 75)")
    parser.add_argument("--learning-steps", type=int, default=5, help="of models that learn (default: 5); 0: leave out")
    add_output(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = find_sources(folder, arguments.num_images)
        folders = {encoding: build(sources, folder, encoding, arguments.rows) for encoding in ENCODINGS}
        models = [
            make_arms(folders, lambda _: make_accelerator(), "waits 50 ms", num_steps=arguments.steps, batch_size=32)
        ]
        if arguments.learning_steps:
            given: dict[str, Any] = {"num_steps": arguments.learning_steps, "batch_size": 8}
            jpeg, classes = {"jpeg": folders["jpeg"]}, {"jpeg": build_classes(folder, arguments.rows)}
            models += [
                make_arms(jpeg, lambda f: make_learner(f, 8), "U-Net on the CPU", **given),
                make_arms(classes, lambda f: make_learner(f, 8), "classifier on the CPU", **given),
            ]
        figures: dict[str, list[float]] = {}
        for arms in models:  # a model after the other: minutes of a slow one would leave files and code cold
            figures |= alternate(arms, arguments.rounds)
        results = report(figures)
    settings = {"num_images": arguments.num_images, "num_rows": arguments.rows, "wait_s": WAIT_S}
    save(arguments.output, {"settings": settings, **results})


if __name__ == "__main__":
    main()
