"""``gpuwatch run``: a command started as it would be without gpuwatch, with the agent on its path and a note of how it ended.

What the command can notice of it is another parent, three environment variables, and one more process in its group (``witness``).
"""
