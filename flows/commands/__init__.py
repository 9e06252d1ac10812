"""The verbs in groups of the command line."""
