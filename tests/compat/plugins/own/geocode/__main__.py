from kong_pdk.cli import start_dedicated_server

from .plugin import Plugin, Schema, priority, version

start_dedicated_server("geocode", Plugin, version, priority, Schema)
