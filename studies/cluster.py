"""A cluster as an executor: Dask's, at an address or started here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

HERE = "local"


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Executor]:
    """Give an executor that measures on a Dask cluster.

    Parameters
    ----------
    address : str
        Of a scheduler, such as tcp://10.0.0.1:8786, or "local", which starts a scheduler and so many workers here.
    workers : int
        Of a cluster that is started here, one process and one thread each.

    Raises
    ------
    ValueError
        Dask is not installed, or no scheduler answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(
            "cluster is given, but dask is not installed: python -m pip install 'assay[dask]'"
        ) from None
    # a cell is given up once it has ended two workers, as with processes of our own
    settings = {"distributed.scheduler.allowed-failures": 1, "distributed.worker.daemon": False}
    with dask.config.set(settings):
        if address == HERE:
            with (
                LocalCluster(
                    workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
                ) as started,
                Client(started) as client,
            ):
                yield _executor(client)
            return
        try:
            client = Client(address, timeout=20)
        except (OSError, ValueError) as problem:
            raise ValueError(
                f"cluster is {address!r}, where no scheduler answers ({problem}): start one by `dask scheduler`"
            ) from None
        with client:
            yield _executor(client)


def _executor(client: Any) -> Executor:
    executor: Executor = client.get_executor(pure=False)
    return executor
