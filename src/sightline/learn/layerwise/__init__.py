"""Networks whose layers learn from pictures without labels first: a deep belief network and a denoising autoencoder."""
