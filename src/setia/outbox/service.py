"""The verbs of the outbox: keep what was promised."""

import logging
from datetime import timedelta
from random import uniform
from uuid import UUID

from django.db import transaction

from setia.kit import feature, time
from setia.outbox.models import Promise

log = logging.getLogger(__name__)
BATCH = 100
# Pauses between tries, as Standard Webhooks suggests; after the last the promise waits for a person.
PAUSES = [timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)]


def sweep() -> int:
    """Keep the promises that are due, each in a transaction of its own. How many were kept.

    What an ask does must bear being done twice: a process may die between doing and noting. Its name, the same at every
    try, lets the receiver see that.
    """
    kept = tried = 0
    while tried < BATCH:
        outcome = _keep_one()
        if outcome is None:
            break
        tried, kept = tried + 1, kept + outcome
    return kept


def _keep_one() -> bool | None:
    """Take one promise that nobody else is at; whether it was kept, or None when there is none."""
    with transaction.atomic():
        promise = (
            Promise.objects.select_for_update(skip_locked=True)
            .filter(done_at__isnull=True, next_attempt_at__lte=time.now())
            .order_by("next_attempt_at")
            .first()
        )
        if promise is None:
            return None
        try:
            with transaction.atomic():
                _do(promise)
        except Exception as error:  # whatever went wrong, the promise must be tried again and say why
            log.exception("promise %s of %s failed", promise.ask, promise.event_id)
            _put_off(promise, error)
            return False
        Promise.objects.filter(event_id=promise.event_id, n=promise.n).update(
            done_at=time.now(), attempts=promise.attempts + 1
        )
        return True


def _do(promise: Promise) -> None:
    ask = feature.asks().get(promise.ask)
    if ask is None:
        raise LookupError(f"no installed feature does {promise.ask}")
    ask.do(promise.program_id, promise.payload, name(promise.event_id, promise.n))


def name(event: UUID, n: int) -> str:
    """What a promise is called at every try."""
    return f"{event}_{n}"


def _put_off(promise: Promise, error: Exception) -> None:
    # Spread, so that all don't return at once.
    pause = PAUSES[min(promise.attempts, len(PAUSES) - 1)] * uniform(0.8, 1.2)  # noqa: S311
    Promise.objects.filter(event_id=promise.event_id, n=promise.n).update(
        attempts=promise.attempts + 1, next_attempt_at=time.now() + pause, last_error=repr(error)[:500]
    )


def waiting() -> tuple[int, int]:
    """How many promises are open, and how many of them have failed before."""
    rows = Promise.objects.filter(done_at__isnull=True)
    return rows.count(), rows.filter(attempts__gt=0).count()
