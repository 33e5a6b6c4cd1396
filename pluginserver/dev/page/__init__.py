"""The page at ``/__pluginserver``: the last requests, and a timeline of each.

:mod:`.view` turns a request's record into text and numbers, the templates turn these into HTML, and
:mod:`.site` answers the browser.  ``page.js`` only keeps the page up to date: all is there without it.
"""

from .site import Site

__all__ = ["Site"]
