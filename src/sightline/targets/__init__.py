"""Targets: a model in the form that another program runs, on a phone, a board, in a browser; proved to answer alike."""
