"""What a running server tells whoever looks after it: figures on request, metrics, traces, its own cost."""
