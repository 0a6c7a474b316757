"""Compute features for later training steps in another thread.

A thread is enough: the C++ featurizer and torch's operations run without the interpreter's lock.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], ahead: int) -> Generator[Made, None, None]:
    """Yield what is made of each item, in order.

    Parameters
    ----------
    make
        Called in one other thread, an item after the other; what it raises is raised where its result is due.
    items
        In order.
    ahead
        So many results at most wait to be taken; 0 makes each when it is asked for, in the caller's thread.
    """
    if ahead == 0:
        yield from map(make, items)
        return
    rest = iter(items)
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        try:
            waiting.extend(thread.submit(make, item) for item in itertools.islice(rest, ahead))
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(thread.submit(make, item) for item in itertools.islice(rest, 1))
                yield made
        finally:
            for future in waiting:
                future.cancel()
