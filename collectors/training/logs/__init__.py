"""What a running training already writes to a log file, read from outside: tokens, steps and loss without any change to the script.

``watch.LogWatch`` is the door. Nothing is imported here, so that a recorder without such a file pays nothing.
"""
