"""Chaos: the server as a process of its own, at full load, while everything around it misbehaves at random.

``make chaos`` runs it (``python -m chaos`` in ``tests``).  The simulated Kong of :mod:`pluginserver.testing`
sends requests on several threads; meanwhile handlers misbehave, clients send what is not a frame, files
change, and the process is paused, stopped and killed.  Each request must be answered right, or its loss be
explained by what was done to the server at that time; at the end threads, descriptors, memory, events and
instances are back where they were.

What is random comes from the seed, which the report names: the same seed does the same things in the same
order, as far as the clock and the scheduler let it.
"""
