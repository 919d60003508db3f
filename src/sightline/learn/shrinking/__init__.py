"""Making a trained network smaller and training it on: pruned, sparse, narrower, made ready for whole numbers."""
