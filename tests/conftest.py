"""What every test file shares: quiet libraries and the real data, where there is any."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

# Before anything imports them: TensorFlow reads the first once, Albumentations asks the network without the second.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest

from tests.helpers.faulty_store import FaultyStore

REAL_DATA = "PRECOMPUTE_TEST_DATA"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests without collecting garbage, and never look through what they imported again.

    TensorFlow alone makes hundreds of thousands of objects that stay. Looking through them again and again took nearly
    half of the time of collecting, and a part of every test later on.
    """
    gc.disable()
    from hypothesis import settings  # it collects garbage as it is imported: before there are many objects

    settings.register_profile("untimed", deadline=None)  # a machine may be as slow as it likes
    settings.load_profile("untimed")
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.collect()  # of what is left: by its number Python chooses when to look at all of it next
        gc.set_threshold(20_000, 20, 20)  # graphs of TensorFlow are made of many objects, which die late
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Take back what `--deterministic` sets for a whole process: other tests compile with XLA, which it rules out."""
    config = sys.modules.get("tensorflow.python.framework.config")
    if config is not None and config.is_op_determinism_enabled():
        config.disable_op_determinism()  # which TensorFlow offers to tests alone


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets (nuclei, clothing …); tests that need it are skipped where there is none."""
    folder = os.environ.get(REAL_DATA)
    if not folder:
        pytest.skip(f"{REAL_DATA} is not set to a folder of real data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"{REAL_DATA}={folder} is not a folder")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyStore]:
    """A store that speaks S3, with a bucket called ``bucket``; this process and those that it starts use it."""
    from precompute.storage import store as stores

    folder = tmp_path_factory.mktemp("store")
    running = FaultyStore(folder / "said.txt")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        patch.setenv("AUGMENT_ONCE_CACHE", str(folder / "cache"))
        patch.setattr("s3fs.core.S3FileSystem.retries", 2)  # faults that stay are told in a second
        patch.setattr("botocore.retryhandler.delay_exponential", lambda **_: 0.01)
        stores._made.cache_clear()
        stores.filesystem("s3").mkdir("bucket")
        yield running
        stores._made.cache_clear()
    running.close()


@pytest.fixture
def url(store: FaultyStore, request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder of the store for one test; nothing fails there before the test says so."""
    from precompute.storage import store as stores

    store.heal()
    store.requests()
    folder = "s3://bucket/" + "".join(c if c.isalnum() else "-" for c in request.node.name)
    yield folder + "/shards"
    store.heal()
    if stores.filesystem("s3").exists(folder):  # the more objects a bucket has, the longer a listing takes
        stores.filesystem("s3").rm(folder, recursive=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files of slow tests alone come first, then those of many tests: none is left to one process at the end."""
    tests = dict[Path, list[pytest.Item]]()
    for item in items:
        tests.setdefault(item.path, []).append(item)
    quick = {path: any(item.get_closest_marker("slow") is None for item in of_file) for path, of_file in tests.items()}
    items.sort(key=lambda item: (quick[item.path], -len(tests[item.path]), item.path))
