"""How operations on stacks fail."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.cfn.intrinsics import TemplateError
from local.aws.protocol import AwsError

log = logging.getLogger("cloudformation")


class Failure(Exception):
    """A resource could not be made, changed or removed; the message is its reason in the stack's events."""


def invalid(message: str) -> AwsError:
    """CloudFormation's answer to a template or request that it cannot take."""
    return AwsError("ValidationError", message)


@contextlib.contextmanager
def errors_as_failures() -> Iterator[None]:
    """Turn every error of an AWS call or a template into a Failure with the error's message as reason."""
    try:
        yield
    except Failure:
        raise
    except ClientError as error:
        raise Failure(error.response["Error"].get("Message") or str(error)) from error
    except AwsError as error:
        raise Failure(error.message) from error
    except (BotoCoreError, TemplateError) as error:
        raise Failure(str(error)) from error
    except Exception as error:
        log.exception("A stack operation failed")
        raise Failure(f"{type(error).__name__}: {error}") from error
