"""Events: one run of one phase handler each, in a greenlet."""
