"""From bytes to statements and back: HTTP, the protocols, what is recorded of them."""
