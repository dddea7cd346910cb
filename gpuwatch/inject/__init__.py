"""What runs inside training processes; a later issue fills this room. Standard library only, Python 3.9+."""
