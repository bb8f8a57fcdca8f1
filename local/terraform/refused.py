"""What hashicorp/google refuses of a resource that its schema would take: values, arguments that exclude each other.

Most of the provider is generated, and the descriptions that come with its schema name the values (schema.py). What is
written by hand there, and what excludes what, no description says: of the types that are used here it stands below.

Source: the provider's own code, google/services/*/resource_*.go, at 7.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

KAFKA_OPERATIONS = (
    "ALL READ WRITE CREATE DELETE ALTER DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS "
    "IDEMPOTENT_WRITE"
)
CLASSES = "STANDARD MULTI_REGIONAL REGIONAL NEARLINE COLDLINE ARCHIVE"
VALUES: dict[str, dict[str, str]] = {
    "google_managed_kafka_acl": {
        "acl_entries.operation": KAFKA_OPERATIONS,
        "acl_entries.permission_type": "ALLOW DENY",
        "acl_entries.host": "*",
    },
    "google_managed_kafka_cluster": {
        "rebalance_config.mode": "MODE_UNSPECIFIED NO_REBALANCE AUTO_REBALANCE_ON_SCALE_UP",
    },
    "google_sql_database_instance": {
        "settings.edition": "ENTERPRISE ENTERPRISE_PLUS",
        "settings.availability_type": "REGIONAL ZONAL",
        "settings.activation_policy": "ALWAYS NEVER ON_DEMAND",
        "settings.disk_type": "PD_SSD PD_HDD HYPERDISK_BALANCED",
        "settings.connector_enforcement": "NOT_REQUIRED REQUIRED",
        "settings.ip_configuration.ssl_mode": (
            "ALLOW_UNENCRYPTED_AND_ENCRYPTED ENCRYPTED_ONLY TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
        ),
        "settings.maintenance_window.update_track": "canary stable week5",
    },
    "google_project_iam_audit_config": {"audit_log_config.log_type": "ADMIN_READ DATA_READ DATA_WRITE"},
    "google_service_networking_connection": {"deletion_policy": "ABANDON"},
    "google_sql_database": {"deletion_policy": "ABANDON DELETE"},
    "google_sql_user": {
        "type": "BUILT_IN CLOUD_IAM_USER CLOUD_IAM_SERVICE_ACCOUNT CLOUD_IAM_GROUP",
        "deletion_policy": "ABANDON",
    },
    "google_storage_bucket": {
        "storage_class": CLASSES,
        "public_access_prevention": "inherited enforced",
        "lifecycle_rule.action.type": "Delete SetStorageClass AbortIncompleteMultipartUpload",
        "lifecycle_rule.action.storage_class": CLASSES,
        "lifecycle_rule.condition.with_state": "LIVE ARCHIVED ANY",
    },
}
"""Type, and argument without places in lists, to the values that it takes."""
BETWEEN: dict[str, dict[str, tuple[int, int]]] = {
    "google_sql_database_instance": {
        "settings.maintenance_window.day": (1, 7),
        "settings.maintenance_window.hour": (0, 23),
        "settings.backup_configuration.transaction_log_retention_days": (1, 7),
    },
}
EXCLUDE: dict[str, tuple[frozenset[str], ...]] = {
    "google_cloud_scheduler_job": (frozenset({"http_target.oauth_token", "http_target.oidc_token"}),),
    "google_compute_firewall": tuple(
        frozenset(pair)
        for pair in (
            ("source_service_accounts", "source_tags"),
            ("source_service_accounts", "target_tags"),
            ("target_service_accounts", "source_tags"),
            ("target_service_accounts", "target_tags"),
        )
    ),
}
"""Of each of these, one at most is given."""
ONE_OF: dict[str, tuple[frozenset[str], ...]] = {
    "google_cloud_scheduler_job": (frozenset({"pubsub_target", "http_target", "app_engine_http_target"}),),
    "google_compute_firewall": (frozenset({"allow", "deny"}),),
}
"""Of each of these, one is given, and one alone."""


def refused(kind: str, block: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Where, and what is wrong with it. What is not known yet is taken as it is."""
    for path, place, argument, value in arguments(block, given):
        name = place.rpartition(".")[2]
        told = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        taken = argument.get("values") or VALUES.get(kind, {}).get(place, "").split()
        for each in told if taken else ():
            if isinstance(each, str) and each and each not in taken:
                yield path, f"expected {name} to be one of {taken}, got {each}"
        least, most = BETWEEN.get(kind, {}).get(place, (None, None))
        if least is not None and most is not None and isinstance(value, int) and not least <= value <= most:
            yield path, f"expected {name} to be in the range ({least} - {most}), got {value}"
    there = set(places(block, given))
    for group in EXCLUDE.get(kind, ()):
        if len(found := group & there) > 1:
            yield (), f"conflicting arguments: {', '.join(sorted(found))}"
    for group in ONE_OF.get(kind, ()):
        if len(found := group & there) != 1:
            wanted, got = ", ".join(sorted(group)), ", ".join(sorted(found)) or "none"
            yield (), f"one of {wanted} must be specified, not {got}"


def arguments(
    block: Mapping[str, Any], given: Mapping[str, Any], path: Path = (), place: str = ""
) -> Iterator[tuple[Path, str, Mapping[str, Any], Any]]:
    """All that is given, at any depth: its path, the same without places in lists, its schema, its value. A path into a
    set ends there, since an element of a set has no place."""
    for name, each in block["attributes"].items():
        if given.get(name) is not None:
            yield (*path, name), f"{place}{name}", each, given[name]
    for name, each in block["blocks"].items():
        inner = given.get(name)
        items = inner if isinstance(inner, list) else [inner]
        for i, item in enumerate(items):
            if isinstance(item, dict):
                at: Path = (*path, name, i) if each["nesting"] == "LIST" else (*path, name)
                for found, *rest in arguments(each["block"], item, at, f"{place}{name}."):
                    yield ((*path, name) if each["nesting"] == "SET" else found), *rest


def places(block: Mapping[str, Any], given: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """All arguments and blocks that are given, at any depth, without places in lists."""
    for name in block["attributes"]:
        if given.get(name) not in (None, [], {}):
            yield f"{place}{name}"
    for name, each in block["blocks"].items():
        inner = given.get(name)
        for item in inner if isinstance(inner, list) else [inner]:
            if item is not None:
                yield f"{place}{name}"
            if isinstance(item, dict):
                yield from places(each["block"], item, f"{place}{name}.")
