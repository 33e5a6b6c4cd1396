"""Plugins: where they may be, how they are loaded, and the registry that gives them out by name."""

from .registry import Change, Plugin, Plugins, Source

__all__ = ["Change", "Plugin", "Plugins", "Source"]
