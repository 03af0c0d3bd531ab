"""What a write does, known from its construct, and the one statement that does it to many rows."""
