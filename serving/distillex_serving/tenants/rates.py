"""How many texts each tenant has left: a bucket each, filled at its rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from distillex_serving.tenants.tenant_file import Rate, Tenant


class Rates:
    """The buckets of the tenants.

    Parameters
    ----------
    gates
        So many gates share each tenant's rate: each lets its part through.
    clock
        Seconds.
    """

    def __init__(self, gates: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._gates = gates
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, tenant: Tenant, texts: int) -> bool:
        """Take so many texts, or none where there are not as many left.

        More than the bucket holds are taken from a full one, and are waited for afterwards.
        """
        if tenant.rate is None:
            return True
        rate = Rate(tenant.rate.texts_per_second / self._gates, max(1.0, tenant.rate.burst / self._gates))
        now = self._clock()
        with self._lock:
            left, then = self._left.get(tenant.name, (rate.burst, now))
            left = min(rate.burst, left + (now - then) * rate.texts_per_second)
            # Sums of fractions fall short of whole numbers.
            enough = left + 1e-9 >= min(texts, rate.burst)
            self._left[tenant.name] = (left - texts if enough else left, now)
        return enough
