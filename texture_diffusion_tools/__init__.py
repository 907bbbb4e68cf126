"""What texture_diffusion.py leaves to others, one room for each service; docs/MAP.md says which
room to go to.

The script imports these rooms, and no room imports the script: what a room needs from it is handed
in.
"""

__version__ = "1.1.0"
