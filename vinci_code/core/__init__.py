"""What every other part stands on: errors, redaction, settings."""
