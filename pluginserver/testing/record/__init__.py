"""What happened to a request: its record, what was wrong with it, and the record as text."""
