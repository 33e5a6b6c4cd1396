"""Compares plugin servers: this one, the floor, naive ones and peers, side by side in one run.

``python bench/run.py compare`` runs it.  Rules kept here:

* only what was measured in the same round is compared: a ratio is taken within a round, to a measurement
  made seconds before or after it, and what is shown is the median of the rounds' ratios with their spread;
* within a round the servers take turns, in an order drawn anew for each turn, all on fresh processes;
* nothing is counted before the load has warmed the server up, and what is in flight at the end is answered,
  but not counted;
* CPU is what the operating system says that the server's processes used, user and system, per RPC;
* a server that is missing is named, with the reason; a measurement that failed is shown as failed;
* what is printed is rendered from the saved results, and so is the page of the docs: no figure is typed.
"""
