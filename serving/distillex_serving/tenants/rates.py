"""Rate limits of tenants: one token bucket each."""

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

    def admit(self, tenant: Tenant) -> bool:
        """Take the first text of a call, or nothing where there is none left."""
        return self._take(tenant, 1, least=1.0)

    def charge(self, tenant: Tenant, texts: int) -> bool:
        """Take the other texts of a call that was admitted, or nothing where the bucket is in debt.

        What is not there becomes a debt, and is waited for afterwards: one who also sends single texts would wait for
        ever until there are as many as a large call has.
        """
        return self._take(tenant, texts, least=0.0)

    def _take(self, tenant: Tenant, texts: int, *, least: float) -> bool:
        if tenant.rate is None:
            return True
        rate = Rate(tenant.rate.texts_per_second / self._gates, max(1.0, tenant.rate.burst / self._gates))
        now = self._clock()
        with self._lock:
            left, then = self._left.get(tenant.name, (rate.burst, now))
            left = min(rate.burst, left + (now - then) * rate.texts_per_second)
            # Sums of fractions fall short of whole numbers.
            enough = left + 1e-9 >= least
            self._left[tenant.name] = (left - texts if enough else left, now)
        return enough
