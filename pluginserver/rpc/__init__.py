"""What a client can say, and what it is told: frames, methods, replies, instances."""
