"""The record as declared to the rest of the house."""

from setia.kit.feature import Feature, Schedule
from setia.proof import seals, service

FEATURE = Feature(
    name="proof",
    schedules=[
        Schedule("proof.keep_up", "* * * * * */30", service.keep_up),  # twice within the time a promise names
        Schedule("proof.seal", "10 17 * * *", seals.seal_all),  # 00.10 WIB
        Schedule("proof.sweep", "25 20 * * *", service.sweep_all),
    ],
)
