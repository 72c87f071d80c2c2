"""File systems of object stores by their scheme, and errors of theirs as our own. Owns fsspec.

fsspec is loaded when a URL is given, and never otherwise. Credentials and endpoints are none of our options: they come
from where fsspec and the store's own library look for them (for S3: `AWS_ACCESS_KEY_ID`, `AWS_PROFILE`,
`AWS_ENDPOINT_URL`, `~/.aws/config` …; `FSSPEC_S3_ENDPOINT_URL` and `~/.config/fsspec/*.json`).
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from precompute.errors import PrecomputeError, StorageError, UsageError

__all__ = ["LOST", "filesystem", "read_options", "translate_errors", "write_options"]

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
KEPT = "What was finished is kept: run the same command again."
LOST = "there is no such object"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# s3fs would hold 500 MB of a file in memory, ten parts of 50 MB: workers shall stay small.
PART_BYTES = 16 * 2**20
S3_OPTIONS = {"chunksize": PART_BYTES, "max_concurrency": 2}


def filesystem(scheme: str) -> Any:
    """Return the file system of a scheme. Each process makes its own; threads share it.

    Raises:
        UsageError: fsspec, or the package for this scheme, is not installed; or there is no such scheme.
    """
    return _made(scheme, os.getpid())


@functools.cache
def _made(scheme: str, process: int) -> Any:
    extra = EXTRAS.get(scheme)
    install = f"pip install 'augment-once[{extra}]'" if extra else "pip install fsspec and its package for this scheme"
    try:
        import fsspec  # type: ignore[import-untyped]  # and not installed without an extra

        # A cached listing would be wrong for a build that goes on where another machine has stopped.
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise UsageError(f"{scheme}://: a package for this store is not installed ({error}): {install}") from error
    except ValueError as error:
        raise UsageError(
            f"{scheme}://: expected a local path, or the URL of a store that fsspec knows, such as s3:// or gs://; "
            f"got the scheme {scheme!r} ({error})."
        ) from error


def write_options(scheme: str) -> dict[str, Any]:
    """Return arguments for sending a file with little memory."""
    return dict(S3_OPTIONS) if EXTRAS.get(scheme) == "s3" else {}


def read_options(scheme: str) -> dict[str, Any]:
    """Return arguments for reading an object in one request: s3fs would ask for its size, and read parts of it."""
    return {"max_concurrency": 1} if EXTRAS.get(scheme) == "s3" else {}


@contextmanager
def translate_errors(url: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what libraries of stores raise into errors that name the URL.

    What is missing stays a FileNotFoundError, and a local disk that is full an OSError: callers tell them apart.
    Everything else is a StorageError, which nobody takes for a file that is missing or damaged.

    Args:
        url: URL of the object or folder.
        writing: Whether it is being written: what is missing then is its bucket.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails.
    """
    try:
        yield
    except PrecomputeError:
        raise
    except Exception as error:  # each library of a store raises its own
        if isinstance(error, FileNotFoundError) and not writing:
            raise FileNotFoundError(errno.ENOENT, LOST, url) from error
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise StorageError(f"{url}: {_reason(error)}. {KEPT}") from error


def _reason(error: Exception) -> str:
    text = str(error.args[-1] if isinstance(error, OSError) and error.args else error).strip().rstrip(".")
    text = text or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"cannot be written ({text}); does the bucket exist?"
    if isinstance(error, PermissionError) or "credentials" in text.lower():
        return f"the store refuses access ({text}); look at the credentials and at what they may do there"
    return f"the store cannot be reached, or has failed ({type(error).__name__}: {text})"
