"""The verbs of the command line, one module each, which parse arguments and print results."""
