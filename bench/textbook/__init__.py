"""The parts of bench/textbook.py: the claims, the runs that are kept, what they cost, the charts and the page."""
