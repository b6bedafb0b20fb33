"""Pictures of a generator moved by a sentence (Patashnik et al. 2021, "StyleCLIP"), and found in its latents."""
