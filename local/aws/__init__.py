"""AWS's API on one machine: an HTTP server that does for real what the emulator behind it only pretends to do.

It works for any CloudFormation template and knows nothing of Sakila: whoever runs it (``local.commands.aws_server``)
tells it addresses, folders and roles in an ``AwsSettings``. README.md in this folder is its map.
"""
