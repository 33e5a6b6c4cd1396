"""The version, in the one place where packaging, the command line and the docs read it."""

__version__ = "0.1.0"

DISTRIBUTION = "kong-python-server"
"""What it is called on the package index, where ``pluginserver`` is somebody else's."""
