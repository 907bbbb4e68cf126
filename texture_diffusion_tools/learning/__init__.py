"""What is learned: batches, what is known of a photo before, references, the optimizer, checkpoints."""
