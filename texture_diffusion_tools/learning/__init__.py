"""What is learned: batches, what is known before, the optimizer, checkpoints."""
