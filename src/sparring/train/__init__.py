"""The engine: knows games, never a particular one."""
