"""What is written: pictures and figures, a material for other programs, what repeats a run."""
