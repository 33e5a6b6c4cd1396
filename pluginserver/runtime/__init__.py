"""Leader/Followers over epoll: threads, connections, time-outs.  Knows no protocol and no plugin."""
