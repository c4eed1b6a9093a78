"""Properties that hold for any input; the examples are the same each time, so that they fail for a reason."""

from hypothesis import HealthCheck, settings

few = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
