"""Laws of the latent z, and paths between two latents."""
