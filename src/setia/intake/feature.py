"""What the road itself declares: expiry by the calendar. Its kinds of event and facts are the engine's core words."""

from setia.intake import activity, birthdays, parking, service, undoing
from setia.kit.feature import Feature, Schedule

FEATURE = Feature(
    name="intake",
    schedules=[
        Schedule("points.expire", "5 * * * *", service.expire_due),
        Schedule("holds.lapse", "* * * * *", service.lapse_due),
        Schedule("returns.match", "* * * * *", parking.match_due),
        Schedule("members.birthday", "10 * * * *", birthdays.tell_due),
        Schedule("members.ranked", "20 1 1-3 * *", activity.tell_due),
        Schedule("imports.undo", "* * * * *", undoing.undo_due),
        Schedule("keys.forget", "35 3 * * *", service.forget_keys),
    ],
)
