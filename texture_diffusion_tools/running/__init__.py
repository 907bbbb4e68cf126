"""How it runs: constants, processes, devices, files, signals, errors, what others are told."""
