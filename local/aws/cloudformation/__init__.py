"""CloudFormation of the home: deploys the very template of AWS.

Three kinds of resource types (the lists: ``plan.own_types``, ``types.RECORDED``; the emulator refuses what it lacks):

* ours: what the emulator lacks or only pretends, made through our own server: RDS (the private MariaDB's master
  user and database), DMS, Firehose, saved queries, Glue's databases, crawlers and jobs, the secret's attachment;
* recorded: what exists on AWS alone, such as networks; noted with an id, nothing is made;
* the emulator's: all others, as a stack of the same name from a reduced template (``reduced.py`` lists the changes).

Change sets are computed beside the request, as on AWS; what a killed emulator has forgotten is an "Add". The stack
policy is asked before the first resource of an update is touched, where AWS asks at each resource's turn.

Left out, each a clear error: stack sets, imports and exports between stacks, nested stacks' own types, rollback
options, ssm references; callers other than root may look, but not change. A DeletionPolicy Snapshot keeps the database
itself.
"""

from local.aws.cloudformation.api import CloudFormation

__all__ = ["CloudFormation"]
