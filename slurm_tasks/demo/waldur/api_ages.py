"""Routes that tell a server's age: they take posts, which aren't played, and refuse to be read.

From which version on each is there was read in the published clients 7.6.5 to 8.1.3. That reading
a route of this kind is answered with 405 was recorded.
"""

from slurm_tasks.demo.waldur.calls import ACTION_METHODS, Endpoint
from slurm_tasks.demo.waldur.versions import Server

_SINCE = {
    "7.7.5": "marketplace-provider-resources/{uuid}/pull/",
    "7.8.5": "marketplace-provider-resources/{uuid}/set_paused/",
    "7.9.0": "marketplace-provider-offerings/{uuid}/check_unique_backend_id/",
    "7.9.3": "marketplace-provider-offerings/{uuid}/make_unavailable/",
    "8.0.4": "marketplace-provider-resources/{uuid}/set_state_ok/",
    "8.0.9": "marketplace-provider-offerings/{uuid}/sync_resources/",
    "8.1.0": "marketplace-provider-offerings/{uuid}/add_qos/",
}


def endpoints(server: Server) -> tuple[Endpoint, ...]:
    """Return the routes that a server has; older ones (generation A) have none of them."""
    return tuple(
        Endpoint(path, {}, ACTION_METHODS, "b")
        for since, path in _SINCE.items()
        if _numbers(since) <= _numbers(server.version)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
