"""The client side of `hie load`: units read from files, a journal of what was answered, and the connection."""
