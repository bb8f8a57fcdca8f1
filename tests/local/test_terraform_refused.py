"""What the stand-in for Terraform's provider refuses, as the provider does."""

from __future__ import annotations

from typing import Any

from local.terraform.refused import refused

TEXT = {"type": "string", "required": False, "optional": True, "computed": False}
MANY = {"type": ["list", "string"], "required": False, "optional": True, "computed": False}


def of(*attributes: str, **blocks: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "attributes": {name: MANY if name.endswith("s") else TEXT for name in attributes},
        "blocks": {
            name: {"block": block, "nesting": nesting, "min": 0, "max": 1}
            for name, (nesting, block) in blocks.items()
        },
    }


def test_a_value_that_a_description_does_not_name_is_refused_where_it_stands() -> None:
    block = of(access=("LIST", {"attributes": {"egress": TEXT | {"values": ["ALL"]}}, "blocks": {}}))
    ((path, says),) = refused("google_any", block, {"access": [{"egress": "SOME"}]})
    assert path == ("access", 0, "egress")
    assert says == "expected egress to be one of ['ALL'], got SOME"


def test_what_is_not_given_or_not_known_yet_is_taken() -> None:
    block = of(access=("LIST", {"attributes": {"egress": TEXT | {"values": ["ALL"]}}, "blocks": {}}))
    for egress in (None, "", object(), "ALL"):
        assert list(refused("google_any", block, {"access": [{"egress": egress}]})) == []


def test_a_path_ends_at_a_set_since_its_elements_have_no_place() -> None:
    block = of(acl_entries=("SET", of("operation")))
    ((path, _),) = refused("google_managed_kafka_acl", block, {"acl_entries": [{"operation": "LOOK"}]})
    assert path == ("acl_entries",)


def test_arguments_that_exclude_each_other_are_refused_together() -> None:
    block = of("source_service_accounts", "target_tags", deny=("SET", of("protocol")))
    given: dict[str, Any] = {
        "deny": [{"protocol": "all"}],
        "target_tags": ["a"],
        "source_service_accounts": ["b"],
    }
    ((_, says),) = refused("google_compute_firewall", block, given)
    assert says == "conflicting arguments: source_service_accounts, target_tags"
    assert list(refused("google_compute_firewall", block, given | {"source_service_accounts": []})) == []


def test_one_of_several_is_asked_for() -> None:
    block = of(allow=("SET", of("protocol")), deny=("SET", of("protocol")))
    neither = list(refused("google_compute_firewall", block, {"allow": [], "deny": None}))
    both = list(refused("google_compute_firewall", block, {"allow": [{}], "deny": [{}]}))
    assert [says for _, says in neither] == ["one of allow, deny must be specified, not none"]
    assert [says for _, says in both] == ["one of allow, deny must be specified, not allow, deny"]


def test_a_number_outside_its_range_is_refused() -> None:
    hour = {"attributes": {"hour": TEXT | {"type": "number"}}, "blocks": {}}
    block = of(
        settings=("LIST", {"attributes": {}, "blocks": of(maintenance_window=("LIST", hour))["blocks"]})
    )
    given = {"settings": [{"maintenance_window": [{"hour": 24}]}]}
    ((path, says),) = refused("google_sql_database_instance", block, given)
    assert path == ("settings", 0, "maintenance_window", 0, "hour")
    assert says == "expected hour to be in the range (0 - 23), got 24"
