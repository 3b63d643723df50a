"""The administration API under /admin: one route table, one file for each kind of thing that is administered."""
