"""Augmentations that act on the device, are differentiable twice, and take their chance from dice."""
