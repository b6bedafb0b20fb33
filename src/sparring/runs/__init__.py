"""The run directory: planned, started, resumed, opened. A run explains itself: using one needs no flags."""
