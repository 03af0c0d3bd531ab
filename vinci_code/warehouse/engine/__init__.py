"""The warehouse's engine: catalog, versioned tables, transactions and the statements on them."""
