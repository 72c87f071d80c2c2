"""What the programs `precompute` and `train` have in common: arguments, printing, Ctrl-C, exit codes, memory."""
