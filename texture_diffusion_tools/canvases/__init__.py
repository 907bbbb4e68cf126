"""What is drawn on, and what becomes of it: textures, repaired photos, Wang tiles, blends."""
