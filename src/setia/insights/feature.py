"""Insights as declared to the rest of the house."""

from setia.insights.backtest import service as backtest
from setia.kit.feature import Feature, Schedule

FEATURE = Feature(
    name="insights",
    schedules=[Schedule("insights.backtest", "* * * * * */5", backtest.work, alone=True)],
)
