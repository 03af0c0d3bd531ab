"""Values and statements as SQL text: how a value is written, what a text that is given does."""
