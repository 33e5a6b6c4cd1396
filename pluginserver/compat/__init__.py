"""Plugins that were written for kong-pdk, Kong's own library for plugins in Python: they run unchanged.

``recognition`` says which plugins these are, ``standins`` gives them the modules that they import, and
``proxies`` the ``kong`` that their handlers are called with; ``arguments`` has that library's flags.
"""
