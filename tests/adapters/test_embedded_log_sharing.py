"""Who owns which partition: fair, sticky, the same for the same members."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from turnout.adapters.embedded_log.sharing import Partition, share

TOPICS = {name: [(name, number) for number in range(count)] for name, count in (("a", 6), ("b", 6), ("c", 1))}


def all_of(*names: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(names, frozenset(TOPICS))


members = st.dictionaries(
    st.sampled_from(["m1", "m2", "m3", "m4", "m5"]),
    st.frozensets(st.sampled_from(list(TOPICS)), min_size=1),
    max_size=5,
)
owners = st.dictionaries(
    st.sampled_from([each for those in TOPICS.values() for each in those]),
    st.sampled_from(["m1", "m2", "m3", "m4", "m5", "gone"]),
)


@given(members, owners)
def test_every_partition_that_somebody_reads_has_one_owner_who_reads_it(
    readers: dict[str, frozenset[str]], before: dict[Partition, str]
) -> None:
    shared = share(TOPICS, readers, before)
    read = {topic for topics in readers.values() for topic in topics}
    assert set(shared) == {each for topic in read for each in TOPICS[topic]}
    assert all(partition[0] in readers[owner] for partition, owner in shared.items())


@given(members, owners)
def test_each_topic_is_shared_evenly_among_its_readers(
    readers: dict[str, frozenset[str]], before: dict[Partition, str]
) -> None:
    shared = share(TOPICS, readers, before)
    for topic in TOPICS:
        count = Counter(owner for partition, owner in shared.items() if partition[0] == topic)
        mine = [count[member] for member, topics in readers.items() if topic in topics]
        assert not mine or max(mine) - min(mine) <= 1


@given(members, owners)
def test_nothing_moves_when_nobody_comes_or_goes(
    readers: dict[str, frozenset[str]], before: dict[Partition, str]
) -> None:
    shared = share(TOPICS, readers, before)
    assert share(TOPICS, readers, shared) == shared


@given(st.integers(1, 5), owners)
def test_members_that_read_the_same_have_the_same_to_do_give_or_take_one(
    count: int, before: dict[Partition, str]
) -> None:
    shared = share(TOPICS, all_of(*[f"m{number}" for number in range(count)]), before)
    load = Counter(shared.values())
    assert max(load.values()) - min(load[f"m{number}"] for number in range(count)) <= 1


def test_a_newcomer_gets_a_fair_share_and_the_others_keep_the_rest() -> None:
    before = share(TOPICS, all_of("m1", "m2"), {})
    after = share(TOPICS, all_of("m1", "m2", "m3"), before)
    moved = [each for each in after if after[each] != before[each]]
    assert {after[each] for each in moved} == {"m3"}
    assert len(moved) == 4


def test_what_one_leaves_goes_to_the_others_who_keep_all_they_had() -> None:
    before = share(TOPICS, all_of("m1", "m2", "m3"), {})
    after = share(TOPICS, all_of("m1", "m2"), before)
    assert all(after[each] == owner for each, owner in before.items() if owner != "m3")


def test_more_members_than_partitions_leave_some_without() -> None:
    readers = {f"m{number}": frozenset({"c"}) for number in range(3)}
    assert len(set(share(TOPICS, readers, {}).values())) == 1
