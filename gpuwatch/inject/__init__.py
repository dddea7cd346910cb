"""What runs inside training processes; the agent and what scripts may say themselves. Standard library only, Python 3.9+."""
