#!/usr/bin/env python3
"""Do stored variants train a model as well as online augmentation does? An experiment at equal optimizer steps.

    PRECOMPUTE_TEST_DATA=… scripts/parity.py --output parity-work

Each trial is one cutting of the data and one seed: all arms of a trial have the same images to train and to test on,
the same initial weights, the same number of steps and the same learning rates; they differ in where the augmented
images come from. Online draws a variant for each image and epoch, in memory, without JPEG. Arms are compared trial by
trial, by the score after the last epoch, which nothing was selected by.

Trials run in processes of their own, one thread each. Run again, it goes on where it was stopped. When all trials asked
for are there, the report is written beside their results: results.json, parity.png and README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parity_report
from parity_data import STUDIES, Study, build_follow, build_rows, describe_machine

MAX_ROWS = 16
FOLLOW_KEEP = 4
FOLLOW_EVERY = 4  # epochs until a new row is there: as if writing a row took as long as four epochs


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Where the images of a training come from.

    Attributes:
        rows: Stored rows that the epochs take turns with; 0: the original row alone; None: online.
        fresh: Of `precompute.load`.
        follow: Rows come and go; `rows` are kept.
    """

    rows: int | None = None
    fresh: str = "off"
    follow: bool = False


ARMS = {
    "not augmented": Arm(rows=0),
    "online": Arm(),
    "1 row": Arm(rows=1),
    "2 rows": Arm(rows=2),
    "4 rows": Arm(rows=4),
    "8 rows": Arm(rows=8),
    "16 rows": Arm(rows=16),
    "1 row, fresh": Arm(rows=1, fresh="auto"),
    "16 rows, fresh": Arm(rows=16, fresh="auto"),
    "follow, keep 4": Arm(rows=FOLLOW_KEEP, follow=True),
}


def main() -> int:
    """Run the trials that are missing, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("parity-work"), help="folder of datasets and results")
    parser.add_argument("--only", choices=STUDIES, help="one of the data sets")
    parser.add_argument("--trials", type=int, default=10, help="of each data set (10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (all cores)")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM", help="(all)")
    parser.add_argument("--report", type=Path, help="only write the report of what is there, into this folder")
    parser.add_argument("--trial", type=int, help=argparse.SUPPRESS)  # in a process of its own
    arguments = parser.parse_args()
    if arguments.report is not None:
        parity_report.write(arguments.output, arguments.report, list(ARMS))
        return 0
    if "PRECOMPUTE_TEST_DATA" not in os.environ:
        print("PRECOMPUTE_TEST_DATA is not set: expected the folder that holds nuclei and clothing", file=sys.stderr)
        return 2
    if arguments.trial is not None:
        run_trial(STUDIES[arguments.only], arguments.trial, arguments.arms, arguments.output)
        return 0
    names = [arguments.only] if arguments.only else list(STUDIES)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        calls = [
            pool.submit(start_trial, name, trial, arguments.arms, arguments.output)
            for trial in range(arguments.trials)
            for name in names
        ]
        for call in calls:
            call.result()
    parity_report.write(arguments.output, arguments.output, list(ARMS))
    return 0


def start_trial(study: str, trial: int, arms: list[str], output: Path) -> None:
    """Run a trial in a process of its own."""
    command = [sys.executable, __file__, "--only", study, "--trial", trial, "--output", output, "--arms", *arms]
    subprocess.run([str(part) for part in command], check=True)


def run_trial(study: Study, trial: int, arms: list[str], output: Path) -> None:
    """Train the arms of a trial that have no result yet."""
    results = {
        arm: output / "trials" / f"{study.name}-{trial:02d}-{arm.replace(', ', '-').replace(' ', '-')}.json"
        for arm in arms
    }
    missing = [arm for arm in arms if not results[arm].exists()]
    if not missing:
        return
    dataset = build_rows(study, trial, output, num_rows=MAX_ROWS)
    for arm in missing:
        began, cpu = time.monotonic(), time.process_time()
        score = train(study, trial, ARMS[arm], dataset, output)
        result = {
            "study": study.name,
            "trial": trial,
            "arm": arm,
            "score": score,
            "metric": study.metric,
            "seconds": round(time.monotonic() - began, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            **describe_machine(),
        }
        results[arm].parent.mkdir(parents=True, exist_ok=True)
        temp_path = results[arm].with_suffix(".tmp")
        temp_path.write_text(json.dumps(result, indent=1) + "\n")
        temp_path.replace(results[arm])
        print(f"{study.name} trial {trial}: {arm}: {study.metric} {score:.4f}, {result['seconds']} s", flush=True)


def train(study: Study, trial: int, arm: Arm, dataset: Path, output: Path) -> float:
    """Train one arm, and return its score on the test images after the last epoch."""
    import keras
    import tensorflow as tf

    import precompute
    from precompute.dataset.manifest import Manifest
    from train.compiled import compile_model, make_network
    from train.data import load_in_order
    from train.measure import measure
    from train.options import EvaluateOptions, FitOptions
    from train.tasks import make_task

    if not tf.config.threading.get_intra_op_parallelism_threads():
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if arm.follow:
        dataset = build_follow(study, trial, output, num_rows=FOLLOW_KEEP)
    manifest = Manifest.load(dataset)
    options = FitOptions(epochs=study.epochs, seed=trial, **study.fit)
    task = make_task(manifest)
    callbacks: list[Any] = []
    if arm.rows is None:
        batches = online_batches(study, dataset, manifest, trial, options.batch_size)
    else:
        given = {"batch_size": options.batch_size, "shuffle_seed": trial, "fresh": arm.fresh}
        augmented = [row.row for row in manifest.splits["train"].rows if not row.original]
        original = [row.row for row in manifest.splits["train"].rows if row.original]
        rows: Any = "follow" if arm.follow else augmented[: arm.rows] or original
        batches = precompute.load(dataset, rows=rows, cache=not arm.follow, **given)  # tiny rows: epochs begin sooner
        callbacks = [precompute.EpochRow(batches)]
        if arm.follow:
            callbacks.insert(
                0, keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: renew(dataset, epoch))
            )
    keras.utils.set_random_seed(trial)
    steps = int(batches.cardinality())
    model = compile_model(make_network(task, options, started=False), task, options, steps=steps)
    model.fit(batches, epochs=study.epochs, callbacks=callbacks, shuffle=False, verbose=0)
    test = load_in_order(dataset, manifest, task, "validation", EvaluateOptions(batch_size=32))
    found = measure(model, task, test, where="validation")[""]
    return float(task.summarize(found.counts)[study.metric])


def renew(dataset: Path, epoch: int) -> None:
    """Let `follow` replace a row that was read, as often as a slow writer would."""
    import precompute

    if epoch and epoch % FOLLOW_EVERY == 0:
        precompute.follow(dataset, keep=FOLLOW_KEEP, rows=1, jobs=1, backend="sequential", quiet=True)


def online_batches(study: Study, dataset: Path, manifest: Any, trial: int, batch_size: int) -> Any:
    """Return a dataset of batches that are augmented when they are asked for, each epoch anew.

    Sources, pipeline and generators are those of the stored rows; images never pass through JPEG.
    """
    import tensorflow as tf

    from precompute.dataset.paths import DatasetPaths
    from precompute.pipelines.pipeline import Pipeline
    from precompute.rendering.decode import decode_source
    from precompute.rendering.rebuild import rebuild_pipelines, stored_spec
    from precompute.rendering.render import augment
    from precompute.table.listing_file import read_listing

    spec = stored_spec(manifest)
    pipeline = Pipeline(rebuild_pipelines(manifest)["train"].pickled)
    listing = read_listing(DatasetPaths(dataset).sources(manifest.generation, "train"))
    root = Path(manifest.settings["dataset"]["root"] or "")
    sources = [
        decode_source(
            key, root / e["image"], {"mask": str(root / e["mask"])} if "mask" in e else {"label": e["label"]}, spec
        )
        for key, e in listing.items()
    ]
    return _dataset_of(
        sources, lambda source, epoch: augment(source, pipeline, spec, seed=trial, variant=epoch), trial, batch_size, tf
    )


def _dataset_of(sources: list[Any], variant_of: Callable[[Any, int], Any], seed: int, batch_size: int, tf: Any) -> Any:
    import numpy as np

    epochs = iter(range(10**9))

    def batches() -> Iterator[Any]:
        epoch = next(epochs)
        order = np.random.default_rng([seed, epoch]).permutation(len(sources))
        for first in range(0, len(order), batch_size):
            chosen = [sources[i] for i in order[first : first + batch_size]]
            made = [variant_of(source, epoch) for source in chosen]
            targets = [target for _, values in made for target in values.values()]  # a label or a mask
            yield np.stack([image for image, _ in made]), np.stack(targets)

    image, values = variant_of(sources[0], 0)
    shape = np.shape(*values.values())
    target = tf.TensorSpec([None, *shape], tf.uint8 if shape else tf.int64)
    found = tf.data.Dataset.from_generator(
        batches, output_signature=(tf.TensorSpec([None, *image.shape], tf.uint8), target)
    )
    return found.apply(tf.data.experimental.assert_cardinality(-(-len(sources) // batch_size))).prefetch(2)


if __name__ == "__main__":
    sys.exit(main())
