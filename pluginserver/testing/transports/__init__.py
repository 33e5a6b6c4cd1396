"""The transports to a plugin server: in process, over a socket, a command that is started."""
