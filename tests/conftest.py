"""What all tests share: hypothesis draws without a clock, and the same examples again under CI."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("stones.testing")
settings.register_profile(
    "stones",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("stones")
