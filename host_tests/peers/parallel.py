"""Tests that mostly wait, each with hosts of its own, run at once."""

import concurrent.futures
import contextlib


@contextlib.contextmanager
def in_parallel(request, folder, act, workers):
    """{id of a test: what act(its parameters, a folder of its own) gives} for the wanted tests of a module."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {}
        for item in request.session.items:
            if item.module is request.module and hasattr(item, "callspec"):
                own = folder / str(len(futures))
                own.mkdir()
                futures[item.name] = pool.submit(act, item.callspec.params, own)
        yield futures
        for future in futures.values():
            future.cancel()
