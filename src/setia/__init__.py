"""Setia, the open, integrated loyalty platform. How the house is built: docs/ARCHITECTURE.md."""

__version__ = "0.2.0"
