"""What was measured, and how: each published number has a program here and its artefact in `results/`."""
