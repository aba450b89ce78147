"""Settings: read from the environment when asked for, validated together, never shown raw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slurm_tasks import settings, settings_view
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.settings import Service, Slurm, Waldur, load

OFFERING = "3d2bb6241d4b4c988ecb89dac47b11d8"
REQUIRED = {
    "WALDUR_API_URL": "https://waldur.example.com/api/",
    "WALDUR_API_TOKEN": "0123456789abcdef",
    "WALDUR_OFFERING_UUID": OFFERING,
    "SLURM_CONTAINER_NAME": "head",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Begin with what is required, and nothing else of ours."""
    for group in settings.GROUPS:
        for field in group.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems_of(group: type[settings.Group]) -> tuple[str, ...]:
    """Return what is wrong with a group."""
    with pytest.raises(ConfigurationError) as caught:
        load(group)
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        "https://waldur.csc.fi/api/",
        "https://waldur.csc.fi/api",
        "https://waldur.csc.fi/",
        "https://waldur.csc.fi",
        " https://waldur.csc.fi//api// ",
    ],
)
def test_the_apis_url_may_be_written_in_any_way(environment: pytest.MonkeyPatch, text: str) -> None:
    """With and without /api and the last slash; no letter of the host is lost."""
    environment.setenv("WALDUR_API_URL", text)

    assert load(Waldur).api_url == "https://waldur.csc.fi/api/"


def test_an_api_below_a_path_keeps_it(environment: pytest.MonkeyPatch) -> None:
    """A proxy may serve Waldur somewhere below its root, on any port."""
    environment.setenv("WALDUR_API_URL", "http://proxy:8080/waldur")

    assert load(Waldur).api_url == "http://proxy:8080/waldur/api/"


@pytest.mark.parametrize("text", ["waldur.example.com", "ftp://x/api", "https://", "https:///api"])
def test_a_url_that_leads_nowhere_is_a_problem(environment: pytest.MonkeyPatch, text: str) -> None:
    """The message shows how it is written."""
    environment.setenv("WALDUR_API_URL", text)

    assert problems_of(Waldur) == ("WALDUR_API_URL: write it as https://waldur.example.com/api/",)


def test_the_offerings_uuid_may_have_dashes(environment: pytest.MonkeyPatch) -> None:
    """It is brought to Waldur's form."""
    environment.setenv("WALDUR_OFFERING_UUID", "3D2BB624-1d4b-4c98-8ecb-89dac47b11d8")

    assert load(Waldur).offering_uuid == OFFERING


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("0", False), ("No", False), ("ON", True)]
)
def test_tls_verification_is_a_truth_value(
    environment: pytest.MonkeyPatch, text: str, expected: bool
) -> None:
    """Both words and digits are understood."""
    environment.setenv("REQUESTS_VERIFY_SSL", text)

    assert load(Waldur).verify_ssl is expected


def test_tls_verification_may_name_a_bundle(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that exists is taken; one that doesn't is a problem and not `true`."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()

    environment.setenv("REQUESTS_VERIFY_SSL", str(bundle))
    assert load(Waldur).verify_ssl == str(bundle)
    environment.setenv("REQUESTS_VERIFY_SSL", str(tmp_path / "missing.pem"))
    assert "CA bundle that exists" in problems_of(Waldur)[0]


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    """As compose files and charts leave them."""
    environment.setenv("WALDUR_SYNC_DIRECTION", "")
    environment.setenv("SLURM_TRES_CONFIG_PATH", "")

    assert load(Service).direction == "both"
    assert load(Waldur).tres_config_path == Path("config-components.yaml")


@pytest.mark.parametrize("text", ["pull", "PULL", " Pull "])
def test_the_direction_is_folded(environment: pytest.MonkeyPatch, text: str) -> None:
    """Capitals and blanks don't matter."""
    environment.setenv("WALDUR_SYNC_DIRECTION", text)

    assert load(Service).direction == "pull"


def test_every_problem_of_every_group_comes_at_once(environment: pytest.MonkeyPatch) -> None:
    """An operator corrects all of them before the next start."""
    for name in REQUIRED:
        environment.delenv(name)
    environment.setenv("CELERY_BROKER_URL", "amqp://localhost")
    environment.setenv("WALDUR_SYNC_DIRECTION", "sideways")
    environment.setenv("SLURM_COMMAND_TIMEOUT", "-1")
    environment.setenv("SLURM_PROJECT_PREFIX", "P!")

    with pytest.raises(ConfigurationError) as caught:
        settings.check(settings.GROUPS)

    named = [problem.split(":")[0].split(" ")[0] for problem in caught.value.problems]
    assert named == [
        *("CELERY_BROKER_URL", "WALDUR_SYNC_DIRECTION"),
        *("WALDUR_API_URL", "WALDUR_API_TOKEN", "WALDUR_OFFERING_UUID"),
        *("SLURM_COMMAND_TIMEOUT", "SLURM_PROJECT_PREFIX", "SLURM_CONTAINER_NAME"),
    ]


def test_what_is_missing_is_described(environment: pytest.MonkeyPatch) -> None:
    """The message tells what the variable is for."""
    environment.delenv("WALDUR_API_TOKEN")

    assert problems_of(Waldur) == (
        "WALDUR_API_TOKEN is required: Token of a service provider's owner.",
    )


def test_a_problem_never_shows_a_secret(environment: pytest.MonkeyPatch) -> None:
    """The broker's password stays out of messages."""
    environment.setenv("CELERY_BROKER_URL", "amqp://user:hunter2@localhost")

    assert "hunter2" not in str(problems_of(Service))


@pytest.mark.parametrize("text", ["key@sentry.example.com/1", "https://sentry.example.com/1", "on"])
def test_a_dsn_that_reports_nowhere_is_a_problem(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    """It is found at the start, not when the first error should have been reported."""
    environment.setenv("SENTRY_DSN", text)

    with pytest.raises(ConfigurationError, match="SENTRY_DSN"):
        load(Service)


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("redis://broker:6379/0", set()),
        ("rediss://worker:hunter%2F2@broker/0", {"hunter%2F2", "hunter/2"}),
        ("sentinel://:one@a:26379;sentinel://:two@b:26379", {"one", "two"}),
    ],
)
def test_the_brokers_passwords_are_secrets(value: str, secrets: set[str]) -> None:
    """Both as the URL has them and as they are meant; the host is none."""
    assert settings_view.secrets(environ={"CELERY_BROKER_URL": value}) == secrets
    assert settings_view.secrets(value, environ={}) == secrets


def test_waldurs_token_is_a_secret() -> None:
    """The token is one as a whole."""
    assert settings_view.secrets(environ={"WALDUR_API_TOKEN": "7e5ec2e7"}) == {"7e5ec2e7"}


def test_docker_needs_a_container(environment: pytest.MonkeyPatch) -> None:
    """Natively none is needed."""
    environment.delenv("SLURM_CONTAINER_NAME")
    assert problems_of(Slurm)[0].startswith("SLURM_CONTAINER_NAME is required when")

    environment.setenv("SLURM_DEPLOYMENT_TYPE", "native")
    assert load(Slurm).container is None


@pytest.mark.parametrize("variable", ["SLURM_BIN_DIR", "DOCKER_PATH"])
def test_programs_are_named_by_absolute_paths(
    environment: pytest.MonkeyPatch, variable: str
) -> None:
    """Nothing is looked for on a PATH."""
    environment.setenv(variable, "bin")

    assert problems_of(Slurm) == (f"{variable}: it must be an absolute path",)


@pytest.mark.parametrize("value", ["16", "42"])
def test_a_maximum_that_cannot_work_is_a_problem(
    environment: pytest.MonkeyPatch, value: str
) -> None:
    """Too small a maximum would make two allocations share a name."""
    environment.setenv("SLURM_ALLOCATION_NAME_MAX_LEN", value)

    assert problems_of(Slurm)[0].startswith(f"SLURM_ALLOCATION_NAME_MAX_LEN is {value}: ")


def test_the_defaults_are_valid() -> None:
    """What is set when nothing is set works, with the old service's prefixes."""
    slurm = load(Slurm)

    assert slurm.prefixes.problems() == []
    assert (slurm.prefixes.allocation, slurm.default_account) == ("hpc_", "waldur")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(None, "waldur"), ("Everyone", "everyone"), ("allocation", None)],
)
def test_newcomers_default_account_can_be_chosen(
    environment: pytest.MonkeyPatch, chosen: str | None, expected: str | None
) -> None:
    """The default account, another one, or the allocation that they join."""
    if chosen:
        environment.setenv("SLURM_USER_DEFAULT_ACCOUNT", chosen)

    assert load(Slurm).user_default == expected


def test_root_is_never_anybodys_default_account(environment: pytest.MonkeyPatch) -> None:
    """Customers may hang under root; their users then get the allocation that they join."""
    environment.setenv("SLURM_DEFAULT_ACCOUNT", "root")
    assert load(Slurm).default_account == "root"
    assert load(Slurm).user_default is None

    environment.setenv("SLURM_USER_DEFAULT_ACCOUNT", "root")
    assert "SLURM_USER_DEFAULT_ACCOUNT is root" in problems_of(Slurm)[0]


def test_settings_are_described_with_their_secrets_masked(
    environment: pytest.MonkeyPatch,
) -> None:
    """Every variable with value, source and meaning; neither token nor password is shown."""
    environment.setenv("CELERY_BROKER_URL", "rediss://user:hunter2@broker:6380/1?x=hunter2")
    environment.delenv("WALDUR_API_URL")

    found = {setting.variable: setting for setting in settings_view.describe()}

    assert len(found) == sum(len(group.model_fields) for group in settings.GROUPS)
    assert found["CELERY_BROKER_URL"].value == "rediss://********@broker:6380/1"
    assert found["WALDUR_API_TOKEN"].value == settings_view.MASK
    assert found["WALDUR_API_URL"].source == "missing"
    assert found["WALDUR_API_URL"].problem.startswith("WALDUR_API_URL is required")
    assert found["SLURM_DEFAULT_ACCOUNT"].source == "default"
    assert all(setting.meaning for setting in found.values())


def test_every_variable_is_one_settings_alone() -> None:
    """No two settings share an environment variable."""
    aliases = [field.alias for group in settings.GROUPS for field in group.model_fields.values()]

    assert len(aliases) == len(set(aliases))


EVERYTHING = """
import importlib, pkgutil, slurm_tasks
for module in pkgutil.walk_packages(slurm_tasks.__path__, "slurm_tasks."):
    if ".demo" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_nothing_is_read_from_the_environment_at_import(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With every variable broken, all of the package can still be imported, in silence."""
    for group in settings.GROUPS:
        for field in group.model_fields.values():
            environment.setenv(str(field.alias), "\t!")

    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_token_is_trimmed(environment: pytest.MonkeyPatch) -> None:
    """A file that it came from ended in a line feed."""
    environment.setenv("WALDUR_API_TOKEN", "7e5ec2e7\n")

    assert load(Waldur).api_token.get_secret_value() == "7e5ec2e7"
    assert settings_view.secrets() >= {"7e5ec2e7"}


@pytest.mark.parametrize("token", ["7e5e c2e7", "7e5e\nc2e7", "7e5e\u00e4"])
def test_a_token_that_cannot_be_sent_is_refused(
    environment: pytest.MonkeyPatch, token: str
) -> None:
    """HTTP's library would repeat it in its error, so this one doesn't."""
    environment.setenv("WALDUR_API_TOKEN", token)

    (problem,) = problems_of(Waldur)
    assert problem.startswith("WALDUR_API_TOKEN: a token has visible ASCII characters only")
    assert token not in problem
