"""What is learned: batches, what is known before, references, the optimizer, checkpoints."""
