"""Everything between the settings and the rows: connection, sessions, models, migrations."""
