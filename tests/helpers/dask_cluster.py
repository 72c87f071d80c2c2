"""A Dask cluster of real processes on loopback: a scheduler and workers that a SIGKILL really kills."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.project import ROOT

PATIENCE_S = 60.0
A_WORKER = "IS_A_DASK_WORKER"  # in the environment of workers
SHUTDOWN_S = 10.0


@dataclass
class DaskCluster:
    """Processes of one scheduler and its workers; each writes what it says to a file of its own.

    Attributes:
        address: Of the scheduler.
        folder: Where the processes run, and what they say.
        processes: All of them; the scheduler is the first one.
    """

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(
        self,
        *,
        nthreads: int = 1,
        path: str = str(ROOT),
        wrapper: Sequence[str] = (),
        nanny: bool = False,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start one worker and wait until it has joined.

        Args:
            nthreads: Tasks that it runs at a time.
            path: Folders that it imports from before all others.
            wrapper: Command that starts it.
            nanny: A process beside it starts it again when it has died; else nothing does.
            environment: Other variables that it sees.
        """
        given = [self.address, "--host", "127.0.0.1", "--no-dashboard", "--nthreads", str(nthreads)]
        given += ["--nanny" if nanny else "--no-nanny", "--death-timeout", "60"]
        process, output = self._start("dask_worker", given, {"PYTHONPATH": path, A_WORKER: "1", **environment}, wrapper)
        wait_until(lambda: "Starting established connection" in output.read_text(), process, output)
        return process

    def start_scheduler(self, path: str = str(ROOT)) -> None:
        """Start the scheduler on a port that the system chooses."""
        given = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
        given += ["--idle-timeout", "300 s"]  # should the tests be killed, nothing stays behind
        process, output = self._start("dask_scheduler", given, {"PYTHONPATH": path})
        wait_until(lambda: re.search(r"Scheduler at:\s+(tcp://\S+)", output.read_text()), process, output)
        match = re.search(r"Scheduler at:\s+(tcp://\S+)", output.read_text())
        assert match
        self.address = match[1]

    def _start(
        self, program: str, given: Sequence[str], environment: Mapping[str, str], wrapper: Sequence[str] = ()
    ) -> tuple[subprocess.Popen[bytes], Path]:
        output = self.folder / f"{program}-{len(self.processes)}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", f"distributed.cli.{program}", *given],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process, output


def wait_until(
    holds: Callable[[], object], process: subprocess.Popen[bytes] | None = None, output: Path | None = None
) -> None:
    """Wait until something holds, while a process lives, for a minute at most."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        dead = process is not None and process.poll() is not None
        assert not dead and time.monotonic() < deadline, output.read_text() if output else "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def dask_cluster(folder: Path, *, workers: int = 2, scheduler_path: str = str(ROOT)) -> Iterator[DaskCluster]:
    """Run a cluster; all of its processes are dead at the end."""
    folder.mkdir(parents=True)
    cluster = DaskCluster(folder)
    try:
        cluster.start_scheduler(scheduler_path)
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in reversed(cluster.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a nanny has started, too
            process.wait(SHUTDOWN_S)
