"""Rules: which keys of a store have another format than the rest, by their longest known prefix."""

from collections.abc import Mapping


def rule_for(key: bytes, rules: Mapping[bytes, int]) -> bytes | None:
    """The longest prefix of a key that has a rule, or None. O(rules).

    >>> rule_for(b'User/ada', {b'U': 33, b'User/': 34}), rule_for(b'a', {b'U': 33})
    (b'User/', None)
    """
    longest = None
    for prefix in rules:  # a generator in max() takes several times as long
        if key.startswith(prefix) and (longest is None or len(prefix) > len(longest)):
            longest = prefix
    return longest


def needed_rules(rules: Mapping[bytes, int], otherwise: int) -> dict[bytes, int]:
    """The rules without those that say what would be so without them.

    `otherwise` is the format of keys without a rule.

    >>> needed_rules({b'a': 2, b'b': 3, b'bc': 3, b'bd': 2}, otherwise=2)
    {b'b': 3, b'bd': 2}
    """
    needed: dict[bytes, int] = {}
    for prefix in sorted(rules):  # a prefix comes before the keys that begin with it
        around = rule_for(prefix, needed)
        if rules[prefix] != (otherwise if around is None else needed[around]):
            needed[prefix] = rules[prefix]
    return needed
