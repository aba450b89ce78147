"""The web application: finds the endpoint, knows the person, and answers in Waldur's way."""

import json
from collections.abc import Iterable
from email.utils import format_datetime
from threading import RLock
from urllib.parse import parse_qsl

from starlette.requests import Request as WebRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import compile_path

from slurm_tasks.demo.waldur import (
    api_ages,
    api_offerings,
    api_orders,
    api_people,
    api_providers,
    api_resources,
    api_slurm,
    api_usages,
    orders,
    resource_rules,
)
from slurm_tasks.demo.waldur.calls import Answer, Call, Endpoint
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.refusals import RefusedError, route_missing
from slurm_tasks.demo.waldur.values import User
from slurm_tasks.demo.waldur.versions import Server

BASE = "/api/"
_RESOURCES = ("marketplace-provider-resources/", "marketplace-resources/")

ENDPOINTS: tuple[Endpoint, ...] = (
    *api_orders.ENDPOINTS,
    *api_resources.ENDPOINTS,
    *api_slurm.ENDPOINTS,
    *api_usages.ENDPOINTS,
    *api_people.ENDPOINTS,
    *api_providers.ENDPOINTS,
    *api_offerings.ENDPOINTS,
)


class Api:
    """Answers requests out of a database, one at a time."""

    def __init__(self, db: Database, lock: RLock) -> None:
        self._db = db
        self._lock = lock
        self._routes = [
            (compile_path(BASE + endpoint.path)[0], endpoint)
            for endpoint in _of_server([*ENDPOINTS, *api_ages.endpoints(db.server)], db.server)
        ]

    async def answer(self, request: WebRequest) -> Response:
        """Answer a request, or redirect one that lacks the trailing slash."""
        path = request.url.path
        if not path.endswith("/") and self._find(path + "/") is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return HTMLResponse(b"", 301, {"Location": f"{path}/{query}"})
        raw = await request.body()
        found = self._find(path)
        headers: dict[str, str] = {}
        if found is not None:
            headers["Allow"] = found[0].allow
        with self._lock:
            orders.start_due(self._db)
            self._db.run_due_jobs()
            try:
                answer = self._answer(request, raw, found)
            except RefusedError as refusal:
                html = isinstance(refusal.body, str)
                answer = Answer(refusal.status, refusal.body, html=html)
            headers["Date"] = format_datetime(self._db.now(), usegmt=True)
            return _response(answer, headers)

    def _answer(
        self, request: WebRequest, raw: bytes, found: tuple[Endpoint, str] | None
    ) -> Answer:
        if found is None:
            raise route_missing()
        endpoint, uuid = found
        # As in Django REST framework, who asks is looked at before what is asked.
        user = self._user(request.headers.get("Authorization", ""))
        handler = endpoint.handlers.get(request.method)
        if handler is None:
            raise RefusedError(405, {"detail": f'Method "{request.method}" not allowed.'})
        call = Call(
            db=self._db,
            user=user,
            path=request.url.path,
            query=tuple(parse_qsl(request.url.query, keep_blank_values=True)),
            uuid=uuid,
            content_type=request.headers.get("Content-Type", ""),
            user_agent=request.headers.get("User-Agent", ""),
            raw=raw,
        )
        if request.method not in ("GET", "HEAD"):
            call.refuse_unknown(())
        if request.method == "POST" and endpoint.path.startswith(_RESOURCES):
            resource_rules.check_available(self._db)
        return handler(call)

    def _find(self, path: str) -> tuple[Endpoint, str] | None:
        for pattern, endpoint in self._routes:
            match = pattern.match(path)
            if match is not None:
                return endpoint, match.groupdict().get("uuid", "")
        return None

    def _user(self, authorization: str) -> User:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "token" or not token:
            detail = "Authentication credentials were not provided."
            raise RefusedError(401, {"detail": detail})
        user = self._db.user_of_token(token.strip())
        if user is None:
            raise RefusedError(401, {"detail": "Invalid token."})
        return user


def _of_server(endpoints: Iterable[Endpoint], server: Server) -> list[Endpoint]:
    return [
        endpoint
        for endpoint in endpoints
        if server.generation in endpoint.generations
        and (endpoint.feature is None or server.has(endpoint.feature))
    ]


def _response(answer: Answer, headers: dict[str, str]) -> Response:
    headers = headers | dict(answer.headers)
    if answer.html:
        return Response(answer.body, answer.status, headers, "text/html; charset=utf-8")
    if answer.body is None:
        return Response(b"", answer.status, headers)
    body = json.dumps(answer.body, ensure_ascii=False).encode()
    return Response(body, answer.status, headers, "application/json")
