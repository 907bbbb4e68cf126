"""How it runs: constants, processes, devices, files, signals, errors, what other programs are told."""
