"""What happened to a request: its record, the order of its events, the plugins' bugs, and all of it as text.

:mod:`.exchange` is the record, :mod:`.timeline` puts it in order for whoever shows it, :mod:`.transcript`
and :mod:`.format` make text of it, and :mod:`.diagnostics` finds bugs.
"""
