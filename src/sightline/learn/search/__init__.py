"""Architecture search over a small space of convolutional networks."""
