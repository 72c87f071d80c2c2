"""What draws from elsewhere than its own generators is found, and named, before the job."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest

import precompute
from precompute.errors import PipelineError
from precompute.pipelines.pipeline import prepare
from precompute.preflight.probe import global_generators_kept, has_other_threads, probe
from precompute.preflight.sample import Sample
from precompute.preflight.survey import survey
from tests.helpers.decoded_sources import SPEC, some_sources
from tests.helpers.small_datasets import draw_classes, options

own_generator = np.random.default_rng(0)
hidden = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1)])
GLOBAL = "draws from a global random generator"
OTHER_PIXELS = "gives other pixels when the same record is made again"


def other_ids(mask: Any, **params: Any) -> Any:
    return mask + 5


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the tests has threads of its own, which draw nothing."""
    if "drawing_thread" not in request.fixturenames:
        monkeypatch.setattr("precompute.preflight.probe.has_other_threads", lambda: False)


@pytest.fixture
def drawing_thread() -> Iterator[list[float]]:
    """Another thread that draws from the global generators all the time; what it drew."""
    drawn, ends = list[float](), threading.Event()

    def draw() -> None:
        np.random.seed(5)
        while not ends.is_set():
            drawn.append(np.random.rand())

    thread = threading.Thread(target=draw)
    thread.start()
    yield drawn
    ends.set()
    thread.join()


def refusal(*transforms: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a lambda in a Lambda
        prepared = prepare(A.Compose([*transforms, A.Resize(8, 8)]), "train")
    with pytest.raises(PipelineError) as caught:
        probe(prepared.pickled, some_sources(3), SPEC, "train")
    return str(caught.value)


def accept(*transforms: Any) -> None:
    probe(prepare(A.Compose([*transforms]), "train").pickled, some_sources(3), SPEC, "train")


def numpy_noise(image: Any, **params: Any) -> Any:
    return image + np.random.randint(0, 9, image.shape).astype(np.uint8)


def python_noise(image: Any, **params: Any) -> Any:
    return image + np.uint8(random.randrange(9))


def own_noise(image: Any, **params: Any) -> Any:
    return image + own_generator.integers(0, 9, image.shape).astype(np.uint8)


def opencv_noise(image: Any, **params: Any) -> Any:
    return image + cv2.randn(np.zeros(image.shape, np.int16), 0, 30).astype(np.uint8)


def through_hidden(image: Any, **params: Any) -> Any:
    return hidden(image=image)["image"]


def scale(image: Any, **params: Any) -> Any:
    return image / 255


def widen(mask: Any, **params: Any) -> Any:
    return mask.astype(np.int64)


class Counting(A.ImageOnlyTransform):
    """Another result at each call, without any generator."""

    num_calls = 0

    def apply(self, img: Any, **params: Any) -> Any:
        self.num_calls += 1
        return img + np.uint8(self.num_calls)


class Drawing(A.ImageOnlyTransform):
    """As a custom transform should be."""

    def get_params(self) -> dict[str, Any]:
        return {"shift": self.py_random.randint(0, 99), "row": self.random_generator.integers(0, 8)}

    def apply(self, img: Any, shift: int, row: int, **params: Any) -> Any:
        img[row] = shift  # also into its input, as people do
        return img


class DrawingElsewhere(Drawing):
    def get_params(self) -> dict[str, Any]:
        return {"shift": np.random.randint(0, 99), "row": 0}


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (numpy_noise, GLOBAL),
        (python_noise, GLOBAL),
        (own_noise, OTHER_PIXELS),
        (opencv_noise, OTHER_PIXELS),
        (through_hidden, OTHER_PIXELS),
    ],
)
def test_functions_that_draw_elsewhere(function: Any, complaint: str) -> None:
    for p in (1.0, 0.01):
        message = refusal(A.HorizontalFlip(), A.Lambda(image=function, p=p))
        assert f"pipeline of train: Lambda(image={function.__name__}) {complaint}" in message
    assert "Draw from self.py_random or self.random_generator of a custom transform" in message
    assert f"Lambda('noise') {complaint}" in refusal(A.OneOf([A.Lambda(image=function, name="noise"), A.NoOp()]))


def test_functions_on_masks() -> None:
    assert f"Lambda(mask=numpy_noise) {GLOBAL}" in refusal(A.Lambda(mask=numpy_noise))


def test_custom_transforms() -> None:
    assert f"Counting {OTHER_PIXELS}" in refusal(A.SomeOf([Counting(p=0.1), A.NoOp()], n=1))
    assert f"DrawingElsewhere {GLOBAL}" in refusal(Drawing(p=1), DrawingElsewhere(p=0.1))
    accept(Drawing(p=0.5), A.OneOf([Drawing(), A.NoOp()]))


def test_a_composition_that_draws_elsewhere() -> None:
    class Sometimes(A.Sequential):
        def __call__(self, *args: Any, **data: Any) -> Any:
            return super().__call__(*args, **data) if random.random() < 0.5 else data

    assert f"a composition {GLOBAL}" in refusal(Sometimes([A.Transpose()], p=1))


def test_a_failure_on_one_source_hides_nothing() -> None:
    def fails_on_the_first(image: Any, **params: Any) -> Any:
        if image[0, 0, 0] == some_sources(1)[0].image[0, 0, 0]:
            raise ValueError("too dark")
        return numpy_noise(image)

    assert GLOBAL in refusal(A.Lambda(image=fails_on_the_first))


def test_everything_of_albumentations_is_accepted() -> None:
    accept(
        A.GaussNoise(p=0.5),
        A.CoarseDropout(fill="random", p=0.5),
        A.ElasticTransform(sigma=2, p=0.5),
        A.OneOf([A.ShotNoise(), A.ISONoise(), A.GridDistortion(), A.RandomRain()]),
        A.RandomOrder([A.Transpose(), A.RandomRotate90(), A.Affine(rotate=(-9, 9))], n=2),
    )


def test_the_callers_generators_stay_as_they_are() -> None:
    def draws() -> list[Any]:
        return [random.random(), np.random.rand(), float(cv2.randu(np.zeros((1, 1), np.float32), 0, 1)[0, 0])]

    def seed() -> None:
        random.seed(7)
        np.random.seed(7)
        cv2.setRNGSeed(7)

    seed()
    expected = [draws(), draws()]
    seed()
    got = [draws()]
    accept(A.GaussNoise(), A.RandomBrightnessContrast())
    refusal(A.Lambda(image=numpy_noise), A.Lambda(image=opencv_noise))
    assert [*got, draws()] == expected


# What the sample shows beside draws.


def size_of(*transforms: Any, num_sources: int = 3, height: int = 24, width: int = 20) -> tuple[int, int]:
    sample = Sample(split="train", decoded=some_sources(num_sources, height, width), rejected=[], unlisted=[])
    found = survey(sample, prepare(A.Compose([*transforms]), "train").pickled, SPEC)
    return found.height, found.width


def survey_refusal(*transforms: Any, **sizes: int) -> str:
    with pytest.raises(PipelineError) as caught:
        size_of(*transforms, **sizes)
    return str(caught.value)


def test_what_another_thread_draws_is_no_fault_and_stays_its_own(drawing_thread: list[float]) -> None:
    assert has_other_threads()
    for _ in range(3):
        accept(A.HorizontalFlip(), A.RandomBrightnessContrast(), A.GaussNoise(), A.Resize(300, 300))
    expected = np.random.RandomState(5)
    assert all(number == expected.rand() for number in list(drawing_thread))


@pytest.mark.slow
def test_beside_another_thread_draws_of_the_pipeline_are_found(drawing_thread: list[float]) -> None:
    assert f"Lambda(image=numpy_noise) {GLOBAL}" in refusal(A.HorizontalFlip(), A.Lambda(image=numpy_noise))


def test_two_builds_in_two_threads(tmp_path: Path) -> None:
    def build(number: int) -> None:
        for i in range(3):
            precompute.build(tmp_path / "data", tmp_path / f"{number}-{i}", **options(seed=number, variants=1))

    draw_classes(tmp_path / "data")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(build, range(2)))
    assert len(list(tmp_path.glob("*/manifest.json"))) == 6


def test_size() -> None:
    assert size_of(A.Resize(12, 16)) == (12, 16)
    assert size_of(A.HorizontalFlip()) == (24, 20)


def test_a_size_that_varies() -> None:
    message = survey_refusal(A.RandomRotate90(p=0.5), num_sources=1)
    assert "pipeline of train: the size of its output varies (height × width):" in message
    assert "24×20 from folder/source0" in message and "20×24 from folder/source0" in message
    assert "let the pipeline end with Resize" in message


def test_float_output() -> None:
    message = survey_refusal(A.Normalize(), A.HorizontalFlip())
    assert "it failed on all of the first 3 images:" in message
    assert "an image of type float32 where uint8 is expected" in message
    assert "only a Normalize, ToFloat or ToTensorV2 at the very end is taken off" in message
    assert "Here Normalize stands elsewhere: move it there." in message
    assert "What goes wrong begins with Normalize, which gave an image of type float32 where" in message
    assert "Here" not in survey_refusal(A.Lambda(image=scale))
    assert size_of(A.ToFloat(), A.FromFloat(dtype="uint8")) == (24, 20)


def test_failure_on_the_first_images_shows_the_reason() -> None:
    message = survey_refusal(A.RandomCrop(100, 100))
    assert "it failed on all of the first 3 images:\n  source" in message
    assert "the pipeline failed at variant 0 (seed 0): " in message and "(100, 100)" in message


def test_the_transform_from_which_on_a_pipeline_fails_is_named() -> None:
    message = survey_refusal(A.HorizontalFlip(p=1), A.FromFloat(p=1), A.NoOp(), A.Resize(12, 16))
    gave = "which gave an image of type float16 where uint8 is expected"
    assert message.endswith(f"\nWhat goes wrong begins with FromFloat, {gave}; it shows at Resize.")
    message = survey_refusal(A.ToFloat(p=1), A.RandomCrop(100, 100))
    assert "begins with ToFloat, which gave an image of type float32 where" in message
    assert "; it shows at RandomCrop." in message
    back = A.FromFloat(dtype="uint8", p=1)
    assert "What goes wrong begins with RandomCrop." in survey_refusal(A.ToFloat(p=1), back, A.RandomCrop(100, 100))
    assert "What goes wrong begins with Lambda(mask=other_ids)." in survey_refusal(A.NoOp(), A.Lambda(mask=other_ids))
    sometimes = survey_refusal(A.NoOp(), A.Lambda(mask=other_ids, p=1e-6))
    assert "pipeline of train: where Lambda(mask=other_ids) runs: " in sometimes


def test_channels_and_masks_are_looked_at() -> None:
    assert "an image of shape (24, 20) where" in survey_refusal(A.ToGray(num_output_channels=1, p=1))
    assert "a mask of shape (24, 20) and type int64 where" in survey_refusal(A.Lambda(mask=widen))


def test_the_callers_generators_are_left_as_they_were() -> None:
    random.seed(1)
    np.random.seed(2)
    with global_generators_kept():
        random.random(), np.random.rand()
        random.seed(9)
    assert random.random() == random.Random(1).random()
    assert np.random.rand() == np.random.RandomState(2).rand()
