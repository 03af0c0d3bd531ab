"""Units of work: what is held until the commit, how it is sent, what became of it."""
