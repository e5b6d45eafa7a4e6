"""``make setup``: installs what the home needs and this machine lacks. Standard library only, because it runs first.

``setup`` lists Debian packages and steps, ``parallel`` runs the steps side by side, ``progress`` shows them;
``python_environments`` makes the locked environments, ``sakila`` gets the SQL scripts.
"""
