"""Models that other programs trained, read without executing what their files say, and made into runs."""
