"""What is laid out: where real tiles go, what they claim of the gaps, what of that is drawn."""
