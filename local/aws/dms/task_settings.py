"""Task settings of DMS: AWS's defaults, the settings that have an effect here, and those that are refused.

Source: DMS user guide, "Specifying task settings" (target metadata, full load, error handling, validation).
These have an effect: TargetTablePrepMode, SupportLobs, LimitedSizeLobMode, LobMaxSize, and of ErrorBehavior the data,
truncation and table policies with their escalation and FailOnNoTablesCaptured. Settings of change capture, tuning,
logging and control tables are stored as given and have no effect on a full load here. Tables are loaded one after
another in one transaction, whatever MaxFullLoadSubTasks says, so that all of them come from the same moment. After a
lost connection to the source there is no retry, whatever RecoverableErrorCount says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LOG_ERROR, IGNORE_RECORD, SUSPEND_TABLE, STOP_TASK = "LOG_ERROR", "IGNORE_RECORD", "SUSPEND_TABLE", "STOP_TASK"
DO_NOTHING, DROP_AND_CREATE, TRUNCATE = "DO_NOTHING", "DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD"

# The sections whose keys are checked, with AWS's defaults
_DEFAULTS: dict[str, dict[str, Any]] = {
    "TargetMetadata": {
        "TargetSchema": "",
        "SupportLobs": True,
        "FullLobMode": False,
        "LobChunkSize": 64,
        "LimitedSizeLobMode": True,
        "LobMaxSize": 32,
        "InlineLobMaxSize": 0,
        "LoadMaxFileSize": 0,
        "ParallelLoadThreads": 0,
        "ParallelLoadBufferSize": 0,
        "ParallelLoadQueuesPerThread": 0,
        "ParallelApplyThreads": 0,
        "ParallelApplyBufferSize": 0,
        "ParallelApplyQueuesPerThread": 0,
        "BatchApplyEnabled": False,
        "TaskRecoveryTableEnabled": False,
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": DROP_AND_CREATE,
        "CreatePkAfterFullLoad": False,
        "StopTaskCachedChangesApplied": False,
        "StopTaskCachedChangesNotApplied": False,
        "MaxFullLoadSubTasks": 8,
        "TransactionConsistencyTimeout": 600,
        "CommitRate": 10000,
    },
    "ErrorBehavior": {
        "DataErrorPolicy": LOG_ERROR,
        "EventErrorPolicy": "IGNORE",
        "DataTruncationErrorPolicy": LOG_ERROR,
        "DataErrorEscalationPolicy": SUSPEND_TABLE,
        "DataErrorEscalationCount": 0,
        "DataMaskingErrorPolicy": STOP_TASK,
        "TableErrorPolicy": SUSPEND_TABLE,
        "TableErrorEscalationPolicy": STOP_TASK,
        "TableErrorEscalationCount": 0,
        "RecoverableErrorCount": -1,
        "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True,
        "RecoverableErrorThrottlingMax": 1800,
        "RecoverableErrorStopRetryAfterThrottlingMax": True,
        "ApplyErrorDeletePolicy": "IGNORE_RECORD",
        "ApplyErrorInsertPolicy": LOG_ERROR,
        "ApplyErrorUpdatePolicy": LOG_ERROR,
        "ApplyErrorEscalationPolicy": LOG_ERROR,
        "ApplyErrorEscalationCount": 0,
        "ApplyErrorFailOnTruncationDdl": False,
        "FullLoadIgnoreConflicts": True,
        "FailOnTransactionConsistencyBreached": False,
        "FailOnNoTablesCaptured": True,
    },
    "ValidationSettings": {"EnableValidation": False},
}
_CHOICES = {
    ("FullLoadSettings", "TargetTablePrepMode"): (DO_NOTHING, DROP_AND_CREATE, TRUNCATE),
    ("ErrorBehavior", "DataErrorPolicy"): (LOG_ERROR, IGNORE_RECORD, SUSPEND_TABLE, STOP_TASK),
    ("ErrorBehavior", "DataTruncationErrorPolicy"): (LOG_ERROR, IGNORE_RECORD, SUSPEND_TABLE, STOP_TASK),
    ("ErrorBehavior", "DataErrorEscalationPolicy"): (LOG_ERROR, IGNORE_RECORD, SUSPEND_TABLE, STOP_TASK),
    ("ErrorBehavior", "TableErrorPolicy"): (SUSPEND_TABLE, STOP_TASK),
    ("ErrorBehavior", "TableErrorEscalationPolicy"): (STOP_TASK,),
}
_MUST_STAY = {
    ("TargetMetadata", "TargetSchema"): ("", None),
    ("TargetMetadata", "FullLobMode"): (False,),  # AWS: full LOB mode is not supported for S3 targets
    ("ValidationSettings", "EnableValidation"): (False,),
}
_STORED_SECTIONS = {
    "BeforeImageSettings", "ChangeProcessingDdlHandlingPolicy", "ChangeProcessingTuning", "ControlTablesSettings",
    "FailTaskWhenCleanTaskResourceFailed", "Logging", "LoopbackPreventionSettings", "StreamBufferSettings",
}  # fmt: skip


@dataclass(frozen=True)
class TaskSettings:
    """The settings that a full load uses. ``text`` is all of them with defaults filled in, as Describe returns it."""

    text: str
    prepare: str
    lobs: bool
    lob_bytes: int | None  # longer values are truncated; None: no limit
    data_error: str
    data_error_escalation: tuple[str, int]
    truncation: str
    table_error: str
    table_error_limit: int
    fail_without_tables: bool

    @classmethod
    def parse(cls, text: str | None) -> TaskSettings:
        """Read the JSON of ``ReplicationTaskSettings``; raises ValueError naming what is wrong or not served."""
        try:
            given = json.loads(text or "{}")
        except ValueError as error:
            raise ValueError(f"task settings are not JSON: {error}") from None
        merged = {section: {**keys, **(given.get(section) or {})} for section, keys in _DEFAULTS.items()}
        for section, value in given.items():
            if section in _DEFAULTS:
                unknown = sorted((value or {}).keys() - _DEFAULTS[section].keys())
                if unknown:
                    raise ValueError(f"task setting {section}.{unknown[0]} is not known to the local home")
            elif section in _STORED_SECTIONS or not value:
                merged[section] = value
            else:
                raise ValueError(f"task settings section {section} is not served by the local home")
        for (section, key), choices in {**_CHOICES, **_MUST_STAY}.items():
            if merged[section][key] not in choices:
                raise ValueError(f"task setting {section}.{key}={merged[section][key]!r}: served are {choices}")
        metadata, errors = merged["TargetMetadata"], merged["ErrorBehavior"]
        return cls(
            text=json.dumps(merged),
            prepare=merged["FullLoadSettings"]["TargetTablePrepMode"],
            lobs=metadata["SupportLobs"],
            lob_bytes=metadata["LobMaxSize"] * 1024 if metadata["LimitedSizeLobMode"] else None,
            data_error=errors["DataErrorPolicy"],
            data_error_escalation=(errors["DataErrorEscalationPolicy"], errors["DataErrorEscalationCount"]),
            truncation=errors["DataTruncationErrorPolicy"],
            table_error=errors["TableErrorPolicy"],
            table_error_limit=errors["TableErrorEscalationCount"],
            fail_without_tables=errors["FailOnNoTablesCaptured"],
        )
