"""Security scanners over the template: checkov, cfn-lint and the rules of ``infrastructure.rules``.

``python -m infrastructure.scanners`` (``make scan``) runs all of them. checkov has a locked environment of its own
(``requirements.txt``), because it pins another botocore than ours.
"""
