"""Insights as declared to the rest of the house."""

from setia.kit.feature import Feature

FEATURE = Feature(name="insights")
