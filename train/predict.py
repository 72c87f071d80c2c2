"""`train predict`: writes and draws the predictions of a run's model for new images.

The images are decoded and prepared by `precompute.prepare_images`, which loads Albumentations and OpenCV; nothing else
in this package does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import tree
from tqdm import tqdm

import precompute
from precompute.errors import UsageError, first_few
from precompute.preparing import PreparedImage, PreparedImages
from precompute.storage.paths import local_path
from train.data import translate_errors
from train.files import remove_unfinished, write_bytes, write_json
from train.options import AS_BUILT, PredictOptions
from train.pictures.sheets import Prediction, draw_predictions
from train.predictions import PredictionWriter, make_writer
from train.start import plain_keras
from train.trained import Trained, open_trained
from train.trained_on import TrainedOn

__all__ = ["Predictions", "predict"]

NUM_DRAWN = 24


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The files of predictions.

    Attributes:
        folder: Folder that was written.
        num_images: Number of images with a prediction.
        failed: Key of each image that could not be used → the reason.
        summary: Content of `predictions.json`.
        paths: The table, the picture (unless all images failed) and the folders of masks.
    """

    folder: Path
    num_images: int
    failed: dict[str, str]
    summary: dict[str, Any]
    paths: list[Path]


@plain_keras()
def predict(
    run: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    output: str | Path,
    options: PredictOptions | None = None,
    say: Callable[[str], None] = lambda note: None,
    progress_bar: bool = False,
) -> Predictions:
    """Predict masks, boxes, classes or numbers of image files with a run's model.

    It writes into `output`: `predictions.csv`, one line per image, or per box; `predictions.png`, with up to 24 images;
    for masks `masks/<key>.png`, class ids with a palette; for boxes `boxes.coco.json`; and `predictions.json`, which
    tells how predictions were made, and which files could not be used. Masks and boxes have the size of the upright
    image if the validation pipeline does no more than resize, else the size of the model's images.

    Args:
        run: Folder of the run.
        images: Files, folders and patterns.
        output: Folder, made if missing.
        options: Options of the predictions.
        say: Called with each note for the user.
        progress_bar: Whether to show a progress bar.

    Raises:
        UsageError: There are no such images, or `output` holds files that would be overwritten.
        SettingsError: There is no run or no model yet.
        PipelineError: The pipeline cannot be rebuilt from the dataset's manifest.
    """
    options, folder = options or PredictOptions(), local_path(output, "--output")
    trained = open_trained(run, checkpoint=options.checkpoint, dataset=options.dataset)
    writer = make_writer(trained.task, folder, draw=options.draw, model_size=options.model_size)
    chosen = [images] if isinstance(images, str | Path) else list(images)
    prepared = precompute.prepare_images(
        trained.dataset,
        chosen,
        pipeline=options.pipeline,
        alpha=None if options.alpha == AS_BUILT else options.alpha,
        skip=folder,
        say=say,
    )
    writer.at_source_size = prepared.keeps_geometry and not options.model_size
    planned = [path for key in prepared.files for path in writer.paths_of(key)]
    written = _claim(folder, [*planned, *(folder / name for name in writer.files())], options)
    for note in trained.notes_on("validation") if options.pipeline is None else ():
        say(note)
    with translate_errors(trained.dataset, trained.task):
        failed, drawn, num_known = _predict_all(trained, prepared, writer, options.batch_size, progress_bar)
    if num_known:
        say(f"the run was trained on {num_known} of these images: what it sees in them says little about new ones.")
    paths = [folder / "predictions.csv"]
    write_bytes(paths[0], writer.table())
    for name, content in writer.files().items():
        paths.append(folder / name)
        write_bytes(paths[-1], content)
    if drawn:
        paths.append(folder / "predictions.png")
        write_bytes(paths[-1], draw_predictions(drawn))
    summary = {
        "run": str(trained.folder.path.absolute()),
        "checkpoint": options.checkpoint,
        "dataset": str(trained.dataset.absolute()),
        **writer.facts(),
        "num_images": len(prepared) - len(failed),
        "num_trained_on": num_known,
        "failed": failed,
        "files": written,
    }
    write_json(folder / "predictions.json", summary)
    return Predictions(
        folder=folder,
        num_images=len(prepared) - len(failed),
        failed=failed,
        summary=summary,
        paths=[*paths, *writer.folders, folder / "predictions.json"],
    )


def _claim(folder: Path, planned: list[Path], options: PredictOptions) -> list[str]:
    """Record which files this command writes, before it writes them; refuse to overwrite others.

    Returns:
        Paths below the folder: those planned, and those that an earlier command has written.
    """
    record = folder / "predictions.json"
    planned = [*planned, folder / "predictions.csv", folder / "predictions.png"]
    try:
        earlier = set(json.loads(record.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        earlier = set()
        planned.append(record)
    foreign = [path for path in planned if path.exists() and path.relative_to(folder).as_posix() not in earlier]
    if foreign and not options.overwrite:
        raise UsageError(
            f"--output {folder}: it has files that were not written by this command and would be replaced:\n"
            f"{first_few([str(path) for path in foreign])}\nChoose another folder, or pass --overwrite."
        )
    remove_unfinished(*planned)
    files = sorted(earlier | {path.relative_to(folder).as_posix() for path in planned})
    write_json(record, {"finished": False, "files": files})
    return files


def _predict_all(
    trained: Trained, prepared: PreparedImages, writer: PredictionWriter, batch_size: int, progress_bar: bool
) -> tuple[dict[str, str], list[Prediction], int | None]:
    """Write all predictions; returns the images that failed, those to draw, and how many were trained on, if known."""
    trained_on = TrainedOn.load(trained.folder.sources)
    num_known = None if trained_on is None else 0
    failed: dict[str, str] = {}
    drawn: list[Prediction] = []
    keys = list(prepared.files)
    wanted = {keys[i] for i in np.linspace(0, len(keys) - 1, min(NUM_DRAWN, len(keys))).round().astype(int)}
    images = tqdm(prepared, total=len(keys), unit="image", disable=not progress_bar)
    for batch in _batches(images, batch_size, failed):
        logits = trained.model.predict_on_batch(np.stack([item.image for item in batch if item.image is not None]))
        for place, item in enumerate(batch):
            prediction = writer.write(item, _of_image(logits, place))
            if trained_on is not None and num_known is not None and item.sha256 is not None:
                num_known += trained_on.holds(item.sha256)
            if item.key in wanted:
                drawn.append(prediction)
    return failed, drawn, num_known


def _of_image(logits: Any, place: int) -> Any:
    """Return the outputs for one image of a batch; of several targets, in a dictionary."""
    return tree.map_structure(lambda of_batch: np.asarray(of_batch[place]), logits)


def _batches(images: Iterable[PreparedImage], batch_size: int, failed: dict[str, str]) -> Iterator[list[PreparedImage]]:
    """Yield batches of images that can be used; the others are added to the failed ones."""
    batch: list[PreparedImage] = []
    for item in images:
        if item.problem is not None:
            failed[item.key] = item.problem
            continue
        batch.append(item)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
