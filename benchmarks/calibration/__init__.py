"""What the doctor's thresholds rest on: small runs, healthy ones and ones with a fault, labelled by what came of them.

See `__main__` for the commands, `cases` for the runs, `truth` for the labels and `score` for the figures.
"""
