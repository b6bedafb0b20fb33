"""Generators, discriminators and judges, with their initialisation."""
