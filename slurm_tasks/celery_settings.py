"""Celery's settings, derived from ours: broker, queues, routes, limits, the schedule.

Site overrides go into a `celeryconfig.py` in the working directory (or the module that
CELERY_CONFIG_MODULE names); every name in it wins over what stands here. The reasons behind the
values are measurements: Celery 5.7 with Redis and Valkey.
"""

from typing import Any

from celery.schedules import crontab
from kombu.entity import Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from slurm_tasks import broker_access
from slurm_tasks.broker_access import BrokerUrl
from slurm_tasks.settings import Service

SOCKET = {"socket_timeout": 30, "socket_connect_timeout": 10, "socket_keepalive": True}
"""Seconds that the broker may take to answer, and whether a dead connection is noticed."""
SENTINEL_SOCKET = {"socket_timeout": 5, "socket_connect_timeout": 3, "socket_keepalive": True}
"""The same of a Sentinel: there are others to ask, and each new connection asks the first first."""
HEALTH_CHECK = 25
"""Seconds after which an idle connection is tried before it is used."""
SOFT_LIMIT, HARD_LIMIT = 840, 900
"""Seconds that a task may take: above a SLURM command's timeout, below the visibility timeout."""
VISIBILITY = 3600
"""Seconds after which the broker delivers an unacknowledged message again: longer than a task,
its longest delay until a retry and its wait in the queue, or it would run twice at once."""
RESULTS_EXPIRE = 3600
CLOSING_DAYS = "1,28-31"
"""Days (UTC) on which a month can end somewhere."""
CLOSING_MINUTES = "6,11,21,26,36,41,51,56"
"""Minutes at which a report looks whether a month is about to end: what Waldur isn't told before
that, it may never take. Nine and four minutes before each quarter of an hour, when the days of all
time zones turn; beat doesn't know that of the billing month."""
CLOSING_EXPIRES = 180

ORDERS_SYNC = "slurm_tasks.orders.sync"
ORDERS_PROCESS = "slurm_tasks.orders.process"
ORDERS_COMPLETE = "slurm_tasks.orders.complete"
MEMBERS_SYNC = "slurm_tasks.members.sync"
MEMBERS_PLAN = "slurm_tasks.members.plan"
MEMBERS_PUSH = "slurm_tasks.members.push"
MEMBERS_UNLINKED = "slurm_tasks.members.name_unlinked"
USAGE_REPORT = "slurm_tasks.usage.report"
USAGE_PUSH = "slurm_tasks.usage.push"
COMPONENTS_LOAD = "slurm_tasks.components.load"
CLUSTER_RECONCILE = "slurm_tasks.cluster.reconcile"
CLUSTER_COLLECT = "slurm_tasks.cluster.collect"
CLUSTER_INSPECT = "slurm_tasks.cluster.inspect"
CLUSTER_CHECK = "slurm_tasks.cluster.check"


def from_settings(service: Service) -> dict[str, Any]:
    """Return Celery's settings for this service."""
    broker, results = (broker_access.parse(u.get_secret_value()) for u in service.broker_urls)
    return {
        "broker_url": broker.text,
        "broker_use_ssl": _tls(service, broker),
        "broker_transport_options": _transport(service, broker),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # by default a worker ends after 50 minutes without
        "broker_channel_error_retry": True,  # by default a worker ends of a broker that is full
        "result_backend": results.text,
        "result_backend_transport_options": _transport(service, results),
        "redis_backend_use_ssl": _tls(service, results),
        # Celery's backend reads these and not the transport's options
        "redis_socket_timeout": SOCKET["socket_timeout"],
        "redis_socket_connect_timeout": SOCKET["socket_connect_timeout"],
        "redis_socket_keepalive": results.kind != "redis+socket",
        "redis_backend_health_check_interval": HEALTH_CHECK,
        "result_expires": RESULTS_EXPIRE,
        "visibility_timeout": VISIBILITY,
        # JSON only: a pickle in the queue would be a program
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_queues": [_queue(service.waldur_queue), _queue(service.headnode_queue)],
        "task_default_queue": service.waldur_queue,
        "task_create_missing_queues": False,
        "task_routes": routes(service),
        "task_acks_late": True,
        "task_retry_on_worker_lost": True,
        "task_reject_on_worker_lost": False,  # on, a task that kills its worker runs for ever
        # nothing is cut off because the broker blinked; and of a pool's process that is ended
        # while it tells its result, the whole worker may die
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "slurm_tasks.consumer:Consumer",  # Celery's dies of malformed messages
        "task_ignore_result": True,  # tasks that people wait for opt in
        "task_soft_time_limit": SOFT_LIMIT,
        "task_time_limit": HARD_LIMIT,
        "task_track_started": True,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_hijack_root_logger": False,
        "beat_schedule": schedule(service),
        "beat_scheduler": "slurm_tasks.liveness:Scheduler",
        "timezone": "UTC",
        "enable_utc": True,
    }


def _transport(service: Service, url: BrokerUrl) -> dict[str, Any]:
    """Return the options of connections; of those to Sentinels, too."""
    options: dict[str, Any] = {
        "visibility_timeout": VISIBILITY,
        **SOCKET,
        "health_check_interval": HEALTH_CHECK,
    }
    if service.key_prefix:
        options["global_keyprefix"] = service.key_prefix
    if url.kind == "sentinel":
        login = {
            "username": service.sentinel_username,
            "password": service.sentinel_password and service.sentinel_password.get_secret_value(),
        }
        tls = _tls(service, url)
        options["master_name"] = service.sentinel_master
        options["sentinel_kwargs"] = {
            **SENTINEL_SOCKET,
            "retry": Retry(NoBackoff(), 0),  # by default 8 s are lost with one that is down
            **{name: value for name, value in login.items() if value},
            **({"ssl": True, **tls} if tls else {}),
        }
    return options


def _tls(service: Service, url: BrokerUrl) -> dict[str, object] | None:
    """Return redis-py's options of TLS; None where there is none."""
    if url.kind != "rediss" and not (url.kind == "sentinel" and service.sentinel_tls):
        return None
    options = broker_access.tls_options(
        service.tls_verify, service.tls_certificate, service.tls_key
    )
    return {**options, **url.tls}


def _queue(name: str) -> Queue:
    # by default both queues would hang on the default queue's exchange and get every message
    return Queue(name, Exchange(name, type="direct"), routing_key=name)  # type: ignore[no-untyped-call]


def routes(service: Service) -> dict[str, dict[str, str]]:
    """Return the queue of every task, by the module that it is in."""
    return {
        "slurm_tasks.cluster.*": {"queue": service.headnode_queue},
        **{
            f"slurm_tasks.{module}.*": {"queue": service.waldur_queue}
            for module in ("orders", "members", "usage", "components")
        },
    }


def schedule(service: Service) -> dict[str, dict[str, Any]]:
    """Return what beat starts, by the direction; a tick that isn't taken up in time expires."""
    pull = {
        "orders": (ORDERS_SYNC, service.orders_interval),
        "members": (MEMBERS_SYNC, service.members_interval),
    }
    push = {"usage": (USAGE_REPORT, service.usage_interval)}
    chosen = {"pull": pull, "push": push, "both": {**pull, **push}}[service.direction]
    entries: dict[str, dict[str, Any]] = {
        name: {"task": task, "schedule": interval, "options": {"expires": interval}}
        for name, (task, interval) in chosen.items()
    }
    if service.direction != "pull":
        entries["usage-closing"] = {
            "task": USAGE_REPORT,
            "kwargs": {"closing": True},
            "schedule": crontab(minute=CLOSING_MINUTES, day_of_month=CLOSING_DAYS),
            "options": {"expires": CLOSING_EXPIRES},
        }
    return entries
