"""The lake on AWS: its CloudFormation template, the parameters of each environment, and the commands that deploy it.

``deploy``, ``destroy`` and ``plan`` are the commands (``make deploy ENV=dev``, ...); they work on whichever AWS
endpoints the SDK's environment names, so the local home is deployed by the same code. ``rules`` and ``scanners`` check
the template for security, ``iam`` proves that its grants are needed, ``cost`` estimates the bill, ``mwaa`` packages
Airflow, ``cfn`` knows CloudFormation's template language.
"""
