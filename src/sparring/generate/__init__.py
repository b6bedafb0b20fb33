"""What a trained generator makes: samples as files, grids, and walks through its latent space."""
