"""Judging samples against data: ``sparring evaluate``.

`sides` says what stands on either side, `stream` shows every image to a judge network once, `measures` compares what it
saw, and `evaluation.evaluate` does all of it and says what came of it, as one record.
"""
