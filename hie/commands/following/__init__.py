"""What `hie follow` is made of: histories read from a source, versions that wait, Bundles that are sent, a state."""
