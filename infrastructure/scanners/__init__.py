"""Security scanners over the template: checkov, cfn-lint and the rules of ``infrastructure.rules``."""
