"""Starts services in order, restarts what dies, and stops everything; knows services only by their description.

``service`` is the description, ``units`` one service at run time, ``supervisor`` all of them, ``reaper`` the parent of
each process that guarantees that nothing of it outlives the supervisor. ``control`` is the user's side: start, wait,
read the state, stop, remove. ``run`` is for other watchers, such as a container engine. ``processes`` reads /proc.
"""
