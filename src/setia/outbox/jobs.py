"""What the worker does by itself: sweep the outbox, run the schedules features declare, rescue jobs of dead workers."""

from collections.abc import Callable
from typing import Any

import procrastinate
from procrastinate.contrib.django import app

from setia.kit import feature
from setia.kit.feature import Schedule
from setia.outbox import service

SWEEP = Schedule("outbox.sweep", "* * * * * */5", service.sweep)  # every five seconds


def register() -> None:
    """Tell procrastinate of every schedule. Call once, after the features are installed."""
    for schedule in (SWEEP, *feature.schedules()):
        lock = schedule.name if schedule.alone else None
        task = app.task(name=schedule.name, queueing_lock=schedule.name, lock=lock, pass_context=False)
        app.periodic(cron=schedule.cron)(task(_job(schedule.run)))
    app.periodic(cron="*/2 * * * *")(
        app.task(name="jobs.rescue", queueing_lock="jobs.rescue", pass_context=True)(_rescue)
    )


def _job(run: Callable[[], Any]) -> Callable[[int], None]:
    def job(timestamp: int) -> None:
        run()

    return job


async def _rescue(context: procrastinate.JobContext, timestamp: int) -> None:
    """Jobs whose worker was killed are done again by another."""
    for job in await context.app.job_manager.get_stalled_jobs():
        await context.app.job_manager.retry_job(job)


def work() -> None:
    """Be the worker until told to stop (SIGINT or SIGTERM). Two jobs at a time: one that is long holds up nobody."""
    with app.replace_connector(app.connector.get_worker_connector()):  # type: ignore[attr-defined]
        app.run_worker(
            delete_jobs="successful", concurrency=2, listen_notify=True, shutdown_graceful_timeout=20
        )
