"""What an operator hands to Kong before it starts: configuration, launchers, dumps, schemas."""
