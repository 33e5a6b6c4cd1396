"""Conversations between a Kong and a plugin server: stored, without their secrets, and played again."""
