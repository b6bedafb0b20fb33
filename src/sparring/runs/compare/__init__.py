"""Comparing objectives, penalties, recipes and schedules fairly: ``sparring compare``.

`plan.make` checks a question and lays out its cells, `director.Director` plays them, `verdict` says what came of it.
"""
