"""Objectives and penalties: pure functions of logits, unreduced, each in its numerically stable form."""
