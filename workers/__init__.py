"""Background roles: thin loops, each calling one service."""
