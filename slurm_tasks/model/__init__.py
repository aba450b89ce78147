"""The pure core: what should exist, what exists, and what to do about the difference.

Nothing in here reads a clock, an environment variable, a file or a socket.
"""
