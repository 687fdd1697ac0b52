"""Arrays of channels as vectors."""
