"""The targets of the fuzzer hold on their seeds, and on inputs that hypothesis draws.

`make fuzz` looks for more inputs with atheris. That takes minutes, and these tests do not need it.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .fuzz.targets import TARGETS

# jsonpath-ng warns of grammar that it will drop, and hypothesis draws such grammar.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_its_seeds_and_on_parts_of_them(name):
    target = TARGETS[name].target
    for seed in TARGETS[name].seeds:
        target(seed)
        target(seed + seed[:1])
        for place in range(0, len(seed), max(len(seed) // 20, 1)):
            target(seed[:place])
            target(seed[:place] + bytes([seed[place] ^ 1 << place % 8]) + seed[place + 1 :])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=200)
@given(st.data())
def test_a_target_holds_on_any_bytes(name, data):
    seeds = st.sampled_from(TARGETS[name].seeds)
    TARGETS[name].target(
        data.draw(st.binary(max_size=300) | st.tuples(seeds, st.binary()).map(b"".join))
    )
