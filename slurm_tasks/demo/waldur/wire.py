"""The wire: logs each request and lets the ordered faults happen to it, down to TCP."""

import asyncio
import json
import socket
import struct
from threading import RLock
from urllib.parse import parse_qsl

from starlette.requests import Request as WebRequest
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from slurm_tasks.demo.waldur.app import Api
from slurm_tasks.demo.waldur.faults import Fault, Faults
from slurm_tasks.demo.waldur.refusals import html_page
from slurm_tasks.demo.waldur.values import Request

_JSON_DETAILS = {
    401: "Invalid token.",
    403: "You do not have permission to perform this action.",
    429: "Request was throttled. Expected available in {seconds} seconds.",
}


class Wire:
    """The ASGI application: the log and the faults around the API."""

    def __init__(self, api: Api, faults: Faults, log: list[Request], lock: RLock) -> None:
        self._api = api
        self._faults = faults
        self._log = log
        self._lock = lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = WebRequest(scope, receive)
        url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        fault = self._faults.strike(request.method, url)
        response = await self._respond(request, fault)
        await self._note(request, response)
        if response is None:
            _reset(scope["state"]["transport"])
            return
        await response(scope, receive, send)

    async def _respond(self, request: WebRequest, fault: Fault | None) -> Response | None:
        """Return the answer, damaged as the fault says; None means cut the connection."""
        if fault is None:
            return await self._api.answer(request)
        if fault.kind == "reset":
            return None
        if fault.kind == "status":
            return _failure(fault)
        if fault.kind == "redirect":
            return RedirectResponse("/login/", status_code=fault.status or 302)
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return await self._api.answer(request)
        response = await self._api.answer(request)
        return None if fault.kind == "answer_lost" else _damaged(response, fault)

    async def _note(self, request: WebRequest, response: Response | None) -> None:
        """Log the request: at the moment when its effect, if any, has taken place."""
        entry = Request(
            request.method,
            request.url.path,
            tuple(parse_qsl(request.url.query, keep_blank_values=True)),
            0 if response is None else response.status_code,
            _readable(await request.body()),
        )
        with self._lock:
            self._log.append(entry)


class Truncated(Response):
    """An answer that ends before the length that it announced."""

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,  # noqa: ARG002 - ASGI's signature
        send: Send,
    ) -> None:
        """Send half the body and close the connection in an orderly way."""
        announced = max(len(self.body), 2)
        headers = [(b"content-length", str(announced).encode())]
        headers += [header for header in self.raw_headers if header[0] != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"]["transport"].close()


def _failure(fault: Fault) -> Response:
    """Answer as the server or the proxy before it does when all is not well."""
    status = fault.status or 503
    if status in _JSON_DETAILS:
        detail = _JSON_DETAILS[status].format(seconds=fault.retry_after)
        headers = {"Retry-After": str(fault.retry_after)} if status == 429 else {}
        body = json.dumps({"detail": detail})
        return Response(body, status, headers, "application/json")
    return Response(html_page(status), status, None, "text/html; charset=utf-8")


def _damaged(response: Response, fault: Fault) -> Response:
    """Return an answer whose effect is done, and which is wrong."""
    if fault.kind == "empty":
        return Response(b"", 200)
    if fault.kind == "truncated":
        return Truncated(response.body, response.status_code, dict(response.headers))
    headers = {key: value for key, value in response.headers.items() if key != "content-length"}
    body = fault.rewrite(_readable(bytes(response.body)))
    if fault.kind == "wrong_shape":
        body = {"detail": "unexpected"} if isinstance(body, list) else [body]
    status = fault.status or response.status_code
    return Response(json.dumps(body), status, headers, "application/json")


def _reset(transport: asyncio.Transport) -> None:
    """Cut the connection: with a linger time of 0, the kernel sends RST instead of FIN."""
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _readable(body: bytes) -> object:
    """Return a body as JSON if it is some, else as text; None without a body."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
