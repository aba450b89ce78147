"""Every setting: an environment variable, typed, described, validated together with the others.

Settings come in groups, and a process reads only those that it needs: a head-node worker starts
without any Waldur variable, a control worker without SLURM's. Nothing is read at import.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from slurm_tasks import broker_access
from slurm_tasks.errors import ConfigurationError
from slurm_tasks.model.names import Prefixes, fold_uuid, is_account

_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%[\w.-]+)?")
"""A host's name (in any alphabet) or address."""


def _api_url(text: str) -> str:
    """Bring the API's URL to `scheme://host/…/api/`, whatever way it was written."""
    problem = ValueError("write it as https://waldur.example.com/api/")
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:  # of a port that is no number, of half a bracket
        raise problem from None
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(parts.hostname or ""):
        raise problem
    if port == 0:
        raise problem
    segments = [segment for segment in parts.path.split("/") if segment]
    if not segments or segments[-1] != "api":
        segments.append("api")
    return urlunsplit((parts.scheme, parts.netloc, "/" + "/".join(segments) + "/", "", ""))


def _broker_url(value: object) -> str | None:
    if value is None:
        return None
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    broker_access.parse(text)
    return text.strip()


def _dsn(value: SecretStr | None) -> SecretStr | None:
    if value:
        parts = urlsplit(value.get_secret_value())
        project = parts.path.strip("/")
        if parts.scheme not in {"http", "https"} or not (parts.username and project):
            raise ValueError("write it as https://KEY@sentry.example.com/PROJECT")
    return value


def _verify_ssl(value: object) -> bool | str:
    text = str(value).strip()
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    if not Path(text).is_file():
        raise ValueError("it is neither true nor false nor the path of a CA bundle that exists")
    return text


def _account(text: str) -> str:
    folded = text.strip().lower()
    if not is_account(folded):
        raise ValueError("it is not the name of a SLURM account (a-z, 0-9, _, -; 41 at most)")
    return folded


def _qos(text: str) -> str:
    folded = text.strip().lower()
    if not is_account(folded):
        raise ValueError("it is not the name of a QoS (a-z, 0-9, _, -; 41 at most)")
    return folded


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute():
        raise ValueError("it must be an absolute path")
    return path


def _direction(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0)]
Account = Annotated[str, AfterValidator(_account)]
Qos = Annotated[str, AfterValidator(_qos)]


class Group(BaseSettings):
    """A group of settings that belong together; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        case_sensitive=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )
    title: ClassVar[str]


class Service(Group):
    """The broker, the schedule and the logs: every process reads these."""

    title: ClassVar[str] = "Service"

    broker_url: Annotated[SecretStr, BeforeValidator(_broker_url)] = Field(
        default=SecretStr("redis://localhost:6379/0"),
        alias="CELERY_BROKER_URL",
        description="Redis or Valkey: `redis://`, `rediss://` or `sentinel://`.",
    )
    result_backend: Annotated[SecretStr | None, BeforeValidator(_broker_url)] = Field(
        default=None,
        alias="CELERY_RESULT_BACKEND",
        description="Where results are kept for people who wait at the shell; unset: the broker.",
    )
    tls_verify: Annotated[bool | str, BeforeValidator(_verify_ssl)] = Field(
        default=True,
        alias="CELERY_TLS_VERIFY",
        description="TLS to the broker: true, false, or the path of a CA bundle; unset: verified.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        alias="CELERY_TLS_CERT",
        description="Certificate of this client, for a broker that asks for one (PEM).",
    )
    tls_key: Path | None = Field(
        default=None,
        alias="CELERY_TLS_KEY",
        description="Its key (PEM), if it isn't in the same file.",
    )
    sentinel_master: str | None = Field(
        default=None,
        alias="CELERY_SENTINEL_MASTER",
        description="Name by which the Sentinels know the servers; required with `sentinel://`.",
    )
    sentinel_username: str | None = Field(
        default=None,
        alias="CELERY_SENTINEL_USERNAME",
        description="User of the Sentinels themselves; that of the servers stands in the URL.",
    )
    sentinel_password: SecretStr | None = Field(
        default=None,
        alias="CELERY_SENTINEL_PASSWORD",
        description="Password of the Sentinels themselves; that of the servers stands in the URL.",
    )
    sentinel_tls: bool = Field(
        default=False,
        alias="CELERY_SENTINEL_TLS",
        description="Whether Sentinels and the servers that they name are reached by TLS.",
    )
    key_prefix: str = Field(
        default="",
        alias="CELERY_KEY_PREFIX",
        pattern=r"^[A-Za-z0-9_.:-]*$",
        description="Prefix of all keys at the broker; two offerings on one broker need one each.",
    )
    waldur_queue: str = Field(
        default="waldur",
        alias="CELERY_WALDUR_QUEUE",
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Queue of the control worker.",
    )
    headnode_queue: str = Field(
        default="headnode",
        alias="CELERY_HEADNODE_QUEUE",
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Queue of the head-node worker.",
    )
    direction: Annotated[Literal["both", "pull", "push"], BeforeValidator(_direction)] = Field(
        default="both",
        alias="WALDUR_SYNC_DIRECTION",
        description=(
            "What beat schedules. `pull`: orders and members from Waldur into SLURM; `push`:"
            " usage, limits and associations from SLURM into Waldur; unset: both."
        ),
    )
    orders_interval: Seconds = Field(
        default=120,
        alias="ORDERS_SYNC_INTERVAL",
        description="Seconds between looks for orders.",
    )
    members_interval: Seconds = Field(
        default=300,
        alias="MEMBERS_SYNC_INTERVAL",
        description="Seconds between synchronisations of allocations' users.",
    )
    usage_interval: Seconds = Field(
        default=3600,
        alias="USAGE_REPORT_INTERVAL",
        description="Seconds between reports of usage, limits and associations.",
    )
    read_only: bool = Field(
        default=False,
        alias="SLURM_READ_ONLY",
        description="Every write to the cluster becomes a logged plan; orders stay as they are.",
    )
    log_format: Literal["console", "json"] = Field(
        default="console", alias="LOG_FORMAT", description="`console` for people, or `json`."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", alias="LOG_LEVEL", description="Least level that is logged."
    )
    sentry_dsn: Annotated[SecretStr | None, AfterValidator(_dsn)] = Field(
        default=None, alias="SENTRY_DSN", description="Where errors are reported; unset: nowhere."
    )
    sentry_environment: str | None = Field(
        default=None, alias="SENTRY_ENVIRONMENT", description="Environment named in the reports."
    )

    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        alias="METRICS_PORT",
        description="Where a worker serves Prometheus' metrics, one port each; unset: nowhere.",
    )
    metrics_address: str = Field(
        default="127.0.0.1",
        alias="METRICS_ADDRESS",
        description="Address that the metrics are served at; they need no authentication.",
    )

    heartbeat_file: Path | None = Field(
        default=None,
        alias="HEARTBEAT_FILE",
        description="A file that this worker or beat renews every 5 seconds; one for each process.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Service":
        problems = list(
            broker_access.tls_problems(self.tls_verify, self.tls_certificate, self.tls_key)
        )
        if self.waldur_queue == self.headnode_queue:
            problems.append(
                "CELERY_WALDUR_QUEUE and CELERY_HEADNODE_QUEUE are equal: the two kinds of workers"
                " would get each other's tasks; give them different names"
            )
        kinds = {broker_access.parse(url.get_secret_value()).kind for url in self.broker_urls}
        if "sentinel" in kinds and not self.sentinel_master:
            problems.append(
                "CELERY_SENTINEL_MASTER is required with sentinel://: the name by which the"
                " Sentinels know the servers (`sentinel monitor NAME …` in their configuration)"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def broker_urls(self) -> tuple[SecretStr, SecretStr]:
        """The URLs of the broker and of the results, as they were written."""
        return self.broker_url, self.result_backend or self.broker_url


def _token(value: SecretStr) -> SecretStr:
    """Check a token: an error of the library that sends it would repeat one that is none."""
    text = value.get_secret_value().strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("a token has visible ASCII characters only, and no spaces")
    return SecretStr(text)


class Waldur(Group):
    """Waldur's API: read by whoever consumes the control worker's queue."""

    title: ClassVar[str] = "Waldur"

    api_url: Annotated[str, AfterValidator(_api_url)] = Field(
        alias="WALDUR_API_URL",
        description="URL of Waldur Mastermind's API; with or without `/api` and the last slash.",
    )
    api_token: Annotated[SecretStr, AfterValidator(_token)] = Field(
        alias="WALDUR_API_TOKEN", description="Token of a service provider's owner."
    )
    offering_uuid: Annotated[str, AfterValidator(fold_uuid)] = Field(
        alias="WALDUR_OFFERING_UUID",
        description="The offering linked to the cluster; 32 hex digits, dashes allowed.",
    )
    verify_ssl: Annotated[bool | str, BeforeValidator(_verify_ssl)] = Field(
        default=True,
        alias="REQUESTS_VERIFY_SSL",
        description="TLS verification: true, false, or the path of a CA bundle.",
    )
    timeout: Seconds = Field(
        default=30, alias="WALDUR_TIMEOUT", description="Seconds until a request is given up."
    )
    tres_config_path: Path = Field(
        default=Path("config-components.yaml"),
        alias="SLURM_TRES_CONFIG_PATH",
        description="The TRES configuration: which TRES are billed, and how.",
    )
    time_zone: ZoneInfo = Field(
        default=ZoneInfo("UTC"),
        alias="BILLING_TIME_ZONE",
        description=(
            "Time zone of the billing month: Waldur's own TIME_ZONE, e.g. `Europe/Tallinn`. Set it,"
            " to UTC too: newer servers (from 7.7.5 on) count months in theirs and tell it nobody,"
            " so that unless it is set nothing is posted that could be booked to a wrong month."
        ),
    )
    limit_owner: Literal["slurm", "waldur"] = Field(
        default="slurm",
        alias="SLURM_LIMIT_OWNER",
        description=(
            "Whose limits win between orders: `slurm`: the cluster's go to Waldur; `waldur`:"
            " drift on the cluster is corrected."
        ),
    )
    usage_decrease: Literal["keep", "post"] = Field(
        default="keep",
        alias="SLURM_USAGE_DECREASE",
        description=(
            "Usage below what Waldur has: `keep` the greater value and warn, or `post` it."
        ),
    )


class Slurm(Group):
    """SLURM on the head node: read by whoever consumes the head node's queue."""

    title: ClassVar[str] = "SLURM"

    deployment: Literal["docker", "native"] = Field(
        default="docker",
        alias="SLURM_DEPLOYMENT_TYPE",
        description="`docker`: commands run through `docker exec`; `native`: on this machine.",
    )
    container: str | None = Field(
        default=None,
        alias="SLURM_CONTAINER_NAME",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The head node's container; required when the type is docker.",
    )
    docker: Annotated[PurePosixPath, AfterValidator(_absolute)] = Field(
        default=PurePosixPath("/usr/bin/docker"),
        alias="DOCKER_PATH",
        description="The docker client.",
    )
    bin_dir: Annotated[PurePosixPath, AfterValidator(_absolute)] = Field(
        default=PurePosixPath("/usr/bin"),
        alias="SLURM_BIN_DIR",
        description="Where SLURM's programs are (inside the container, with docker).",
    )
    conf: str | None = Field(
        default=None,
        alias="SLURM_CONF",
        description="Path of slurm.conf, if it isn't where SLURM looks for it.",
    )
    cluster: str = Field(
        default="",
        alias="SLURM_CLUSTER_NAME",
        pattern=r"^([a-z0-9][a-z0-9_-]{0,40})?$",
        description="The cluster's name in slurmdbd; unset: slurmctld is asked.",
    )
    timeout: Seconds = Field(
        default=60,
        le=600,
        alias="SLURM_COMMAND_TIMEOUT",
        description="Seconds until a SLURM command is ended.",
    )
    lock_dir: Path = Field(
        default=Path("/dev/shm"),  # noqa: S108 - opened without following links, see slurm/lock.py
        alias="SLURM_LOCK_DIR",
        description="Folder of the writer's lock; the same for all who write to the cluster.",
    )
    customer_prefix: str = Field(
        default="hpc_", alias="SLURM_CUSTOMER_PREFIX", description="Prefix of customers' accounts."
    )
    project_prefix: str = Field(
        default="hpc_", alias="SLURM_PROJECT_PREFIX", description="Prefix of projects' accounts."
    )
    allocation_prefix: str = Field(
        default="hpc_",
        alias="SLURM_ALLOCATION_PREFIX",
        description="Prefix of allocations' accounts.",
    )
    allocation_name_max_len: int = Field(
        default=34,
        alias="SLURM_ALLOCATION_NAME_MAX_LEN",
        description="Longest allocation account name that the service creates.",
    )
    default_account: Account = Field(
        default="waldur",
        alias="SLURM_DEFAULT_ACCOUNT",
        description=(
            "An account that exists in the cluster: customers' accounts are created under it, and"
            " users who have no association yet get it as their default account."
        ),
    )
    user_default_account: Account | None = Field(
        default=None,
        alias="SLURM_USER_DEFAULT_ACCOUNT",
        description=(
            "Another default account for users who have no association yet; `allocation`: the one"
            " that they join first; unset: SLURM_DEFAULT_ACCOUNT, or `allocation` if that is root."
        ),
    )
    leavers_jobs: Literal["cancel", "finish"] = Field(
        default="cancel",
        alias="SLURM_LEAVERS_JOBS",
        description=(
            "What becomes of the jobs of users who leave an allocation: `cancel` them, or let"
            " them `finish` before the user is removed (who can submit no more until then)."
        ),
    )
    paused_qos: Qos | None = Field(
        default=None,
        alias="SLURM_PAUSED_QOS",
        description=(
            "QoS that the account of a paused resource is switched to; unset: the account accepts"
            " no new jobs (GrpSubmitJobs=0)."
        ),
    )
    downscaled_qos: Qos | None = Field(
        default=None,
        alias="SLURM_DOWNSCALED_QOS",
        description=(
            "QoS that the account of a downscaled resource is switched to; unset: the flag has no"
            " effect."
        ),
    )
    usual_qos: Qos | None = Field(
        default=None,
        alias="SLURM_DEFAULT_QOS",
        description=(
            "QoS that an account is switched back to when no flag is set any more; unset: the one"
            " that it inherits from the account above it."
        ),
    )
    require_unix_user: bool | None = Field(
        default=None,
        alias="SLURM_REQUIRE_UNIX_USER",
        description=(
            "Whether users are added to an account only if the head node knows the Unix user;"
            " unset: yes when SLURM_DEPLOYMENT_TYPE is native."
        ),
    )
    getent: Annotated[PurePosixPath, AfterValidator(_absolute)] = Field(
        default=PurePosixPath("/usr/bin/getent"),
        alias="GETENT_PATH",
        description="Program that knows Unix users (inside the container, with docker).",
    )
    homedirs: bool = Field(
        default=False,
        alias="ENABLE_USER_HOMEDIR_ACCOUNT_CREATION",
        description="Create home directories for users before they are added to an allocation.",
    )
    homedir_helper: Annotated[PurePosixPath, AfterValidator(_absolute)] = Field(
        default=PurePosixPath("/usr/sbin/mkhomedir_helper"),
        alias="HOMEDIR_HELPER_PATH",
        description="Program that creates one; it gets the username and the umask.",
    )
    homedir_umask: str = Field(
        default="0077",
        alias="HOMEDIR_UMASK",
        pattern=r"^0?[0-7]{3}$",
        description="Umask of the home directories that are created, octal.",
    )
    homedir_sudo: Annotated[PurePosixPath, AfterValidator(_absolute)] | None = Field(
        default=None,
        alias="HOMEDIR_SUDO_PATH",
        description="Path of sudo, where the worker's user needs it for the helper; unset: not.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Slurm":
        problems = self.prefixes.problems()
        if self.usual_qos and self.usual_qos in {self.paused_qos, self.downscaled_qos}:
            problems.append(
                f"SLURM_DEFAULT_QOS is {self.usual_qos}, as is that of paused or downscaled"
                " resources: the switch would have no effect; name another QoS"
            )
        if self.deployment == "docker" and not self.container:
            problems.append(
                "SLURM_CONTAINER_NAME is required when SLURM_DEPLOYMENT_TYPE is docker (the"
                " default): name the head node's container, or set the type to native"
            )
        if self.user_default_account == "root":
            problems.append(
                "SLURM_USER_DEFAULT_ACCOUNT is root: users are never added to root; name another"
                " account, or `allocation`"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def prefixes(self) -> Prefixes:
        """The prefixes and the longest name, as names are made from them."""
        return Prefixes(
            self.customer_prefix,
            self.project_prefix,
            self.allocation_prefix,
            self.allocation_name_max_len,
        )

    @property
    def needs_unix_user(self) -> bool:
        """Whether users are added only if the head node knows them."""
        if self.require_unix_user is None:
            return self.deployment == "native"
        return self.require_unix_user

    @property
    def user_default(self) -> str | None:
        """The default account of users without one; None: the allocation that they join."""
        chosen = self.user_default_account or self.default_account
        return None if chosen in {"allocation", "root"} else chosen


class Flower(Group):
    """The dashboard: read by `slurm-tasks flower`."""

    title: ClassVar[str] = "Flower"

    basic_auth: SecretStr | None = Field(
        default=None,
        alias="FLOWER_BASIC_AUTH",
        description="Who may look: `user:password`, several separated by commas.",
    )
    basic_auth_file: Path | None = Field(
        default=None,
        alias="FLOWER_BASIC_AUTH_FILE",
        description="A file with the same, one on each line.",
    )
    address: str = Field(
        default="127.0.0.1", alias="FLOWER_ADDRESS", description="Address that it listens at."
    )
    port: int = Field(
        default=5555, ge=1, le=65535, alias="FLOWER_PORT", description="Port that it listens at."
    )

    def credentials(self) -> str:
        """Return who may look, as Flower wants it; empty: nobody is named.

        Raises:
            ConfigurationError: the file can't be read, or a line is none.
        """
        lines = self.basic_auth.get_secret_value().split(",") if self.basic_auth else []
        try:
            if self.basic_auth_file:
                lines += self.basic_auth_file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigurationError(
                f"FLOWER_BASIC_AUTH_FILE: {self.basic_auth_file} can't be read ({error.strerror})"
            ) from error
        named = [line.strip() for line in lines if line.strip()]
        if not all(user and password for user, _, password in (n.partition(":") for n in named)):
            raise ConfigurationError(
                "FLOWER_BASIC_AUTH, FLOWER_BASIC_AUTH_FILE: write each as user:password"
            )
        return ",".join(named)


GROUPS: tuple[type[Group], ...] = (Service, Waldur, Slurm, Flower)
G = TypeVar("G", bound=Group)


def load(group: type[G]) -> G:
    """Read one group from the environment.

    Raises:
        ConfigurationError: with all of its problems.
    """
    try:
        return group()
    except ValidationError as error:
        problems = [*_problems(group, error), *_joint_problems(group, error)]
        raise ConfigurationError(problems) from None


def _joint_problems(group: type[Group], error: ValidationError) -> Iterator[str]:
    """Find what is wrong between settings although one of them is wrong by itself."""
    failed = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
    fields = group.model_fields.values()
    stand_ins = {str(f.alias): f.default for f in fields if f.alias in failed}
    if not stand_ins or any(f.is_required() for f in fields):
        return
    try:
        group(**stand_ins)
    except ValidationError as second:
        yield from _problems(group, second)


def check(groups: Iterable[type[Group]]) -> None:
    """Read several groups, to find the problems of all of them at once.

    Raises:
        ConfigurationError: with every problem of every group.
    """
    problems: list[str] = []
    for group in groups:
        try:
            load(group)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


def _problems(group: type[Group], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        text = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            yield from text.splitlines()
        elif problem["type"] == "missing":
            yield f"{problem['loc'][0]} is required: {_described(group, problem['loc'][0])}"
        else:
            yield f"{problem['loc'][0]}: {text[:1].lower()}{text[1:]}"


def _described(group: type[Group], alias: str | int) -> str:
    fields = group.model_fields.values()
    return next((f.description or "" for f in fields if f.alias == alias), "")


def invalid(group: type[Group]) -> list[str]:
    """Return what is wrong with the values that are set; what isn't set is no problem here."""
    try:
        group()
    except ValidationError as error:
        wrong = [p for p in error.errors() if p["type"] != "missing" and p["loc"]]
        named = {str(problem["loc"][0]) for problem in wrong}
        return [text for text in _problems(group, error) if text.split(":")[0] in named]
    return []
