"""What all unit tests have in common: how many examples hypothesis tries."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "unit", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(  # for `make mutants`: the same examples each time, none made smaller
    "mutants",
    settings.get_profile("unit"),
    max_examples=20,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("unit")
