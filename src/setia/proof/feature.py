"""The record as declared to the rest of the house."""

from setia.kit.feature import Feature, Schedule
from setia.proof import service

FEATURE = Feature(
    name="proof",
    schedules=[
        Schedule("proof.keep_up", "* * * * *", service.keep_up),
        Schedule("proof.sweep", "25 20 * * *", service.sweep_all),
    ],
)
