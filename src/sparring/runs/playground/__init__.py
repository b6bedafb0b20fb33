"""The live game on the plane: played turn by turn, with its settings in one's hands, and looked at in between."""
