"""A small shop: users, their orders, and the mail that confirms them."""
