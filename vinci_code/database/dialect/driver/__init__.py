"""The vendor's driver as PEP 249 wants it; it knows no construct of SQLAlchemy's."""
