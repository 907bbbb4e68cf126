"""Materials without end, drawn by our own code, to learn from what all materials share. See prior/README.md."""
