"""What ``make`` calls: ``cli`` has the table of commands, each other module does one or a few of them.

This is the only room that knows both the home and the lake: the names of ``datalake``, the deployment of
``infrastructure``, the generator of ``kdg``.
"""
