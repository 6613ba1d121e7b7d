"""Setia as a running thing: settings, commands and the embedded database."""
