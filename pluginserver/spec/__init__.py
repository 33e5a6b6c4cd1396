"""Facts of Kong's, each in one place; imports nothing of the package but its errors."""
