"""How much one caller may ask of one process: a bucket for each, filled evenly. In memory; it asks no database.

It keeps one runaway integration from taking the server from everybody else. It is no quota: each process counts alone.
"""

import math
import time

from setia.kit.refusals import Refusal

MOST_CALLERS = 10_000  # beyond this all buckets are forgotten, which only ever lets more through
Headers = list[tuple[str, str]]


class Rate:
    """So many requests a second, sustained, and as many at once after a pause. Zero is no limit.

    Headers are those of draft-ietf-httpapi-ratelimit-headers, which may change before it is a standard.
    """

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self.policy = "RateLimit-Policy", f'"key";q={per_second};w=1'
        self.buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> Headers:
        """Count a request; what to tell its caller. Refuses `rate_limited` with the seconds to wait.

        Two threads may count one request between them; a lock would cost more than such a slip.
        """
        rate, now = self.per_second, time.monotonic()
        if not rate:
            return []
        had, since = self.buckets.get(caller) or (rate, now)
        left = min(rate, had + (now - since) * rate) - 1
        if left < 0:
            raise Refusal("rate_limited", status=429, retryable=True, rate=rate, wait=math.ceil(-left / rate))
        if len(self.buckets) >= MOST_CALLERS and caller not in self.buckets:
            self.buckets.clear()
        self.buckets[caller] = left, now
        return [self.policy, ("RateLimit", f'"key";r={int(left)};t=1')]

    def spent(self, wait: int) -> Headers:
        """What to tell a caller who has nothing left for so many seconds."""
        return [self.policy, ("RateLimit", f'"key";r=0;t={wait}')]
