"""CloudFormation's template language: parsing, intrinsic functions, dependencies and stack policies.

Used by the deployment (``infrastructure``) and by the local home's CloudFormation (``local/aws/cloudformation``). It
knows CloudFormation's rules only: neither this project's template nor AWS clients.
"""
