"""Making trained networks smaller and faster."""
