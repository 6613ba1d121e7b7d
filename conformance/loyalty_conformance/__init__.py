"""Executable cases about points that any loyalty engine can be run against through an adapter of six methods.

It judges what an engine answers, never how it is built. It is not a test of speed, of security or of a user interface.
"""

__version__ = "0.1.0"
