"""CloudFormation of the home: deploys the same template as on AWS.

There are three kinds of resource types:

* ours (``resource_types.own_types``): what the emulator lacks or only pretends to make. They are made through our own
  server: RDS (the master user and the database of the private MariaDB), DMS, Firehose, saved queries, Glue's databases,
  crawlers and jobs, the secret's attachment;
* recorded (``resource_types.recorded``): what exists on AWS alone, such as networks. They get an id, nothing is made;
* the emulator's: all others. They are made as a stack of the same name from a reduced template, of which
  ``reduced_template`` lists the changes. The emulator refuses types that it lacks.

``api`` answers the calls, ``plan`` says what a template means for one stack, ``operations`` brings a stack there.

Change sets are computed beside the request, as on AWS; a resource that a killed emulator has forgotten is an "Add". The
stack policy is evaluated before the first resource of an update is touched; AWS evaluates it at each resource's turn.

Left out, each with a clear error: stack sets, imports and exports between stacks, nested stacks' own types, rollback
options, ssm references. Callers other than root may look, but not change anything. A DeletionPolicy Snapshot keeps the
database itself.
"""

from local.aws.cloudformation.api import CloudFormation

__all__ = ["CloudFormation"]
