"""Keeps promises: every ask is a row written with its cause, done at least once, with growing pauses between tries.

It also runs the schedules features declare. Its worker is procrastinate; a promise needs none to be kept safe.
"""
