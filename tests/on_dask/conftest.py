"""A cluster of two processes on this machine, shared by the tests of a module."""

import pytest

pytest.importorskip("distributed", reason="Dask comes with pip install 'nnjit[dask]'")
pytest.importorskip("dask.dataframe", reason="Dask comes with pip install 'nnjit[dask]'")


@pytest.fixture(scope="module")
def client():
    """Client of two workers, processes of one thread each."""
    import dask
    from distributed import Client, LocalCluster

    # A worker that was killed is given up, with all that waits for it, where its successor takes
    # longer to start than this: by default 15 s, which on a busy machine it may.
    patience = {"distributed.deploy.lost-worker-timeout": "1 hour"}
    with (
        dask.config.set(patience),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client
