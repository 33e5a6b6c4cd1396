"""The simulated Kong: its data, its phases, its plugin server client, one request's state."""
