"""What is happening in a run, in plain words: signals, and the verdicts that follow from them."""
