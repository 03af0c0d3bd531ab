"""From settings to the arguments of a connection, and what a failed one is told as."""
