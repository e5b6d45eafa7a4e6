"""The lake on AWS: its CloudFormation template, its parameters and its deployment."""
