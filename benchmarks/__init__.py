"""What the lake takes, beside a limit that is measured in the same run."""

import local  # noqa: F401  puts include/ on the path
