"""Targets whose converters start from a torch network."""
