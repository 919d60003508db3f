"""Networks by plain names (names.py), built at any size (networks.py, stems.py), and what they cost (costs.py)."""
