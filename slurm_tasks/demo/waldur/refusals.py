"""Answers that refuse: the several shapes in which Waldur says no."""

HTML_PAGE = "<!doctype html>\n<html lang=en><head><title>{title}</title></head></html>\n"

_TITLES = {404: "Not Found", 429: "Too Many Requests", 500: "Server Error (500)"}


class RefusedError(Exception):
    """An answer that is not a success; a body of type `str` is an HTML page."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body


def html_page(status: int) -> str:
    """Return the page that Django and the proxies before it send with a status."""
    return HTML_PAGE.format(title=_TITLES.get(status, f"Error {status}"))


def server_error() -> RefusedError:
    """Return the 500 of an unhandled exception: an HTML page."""
    return RefusedError(500, html_page(500))


def route_missing() -> RefusedError:
    """Return the 404 of an unknown path: an HTML page, unlike that of an unknown object."""
    return RefusedError(404, html_page(404))


def object_missing(kind: str) -> RefusedError:
    """Return the 404 of an unknown or invisible object: JSON."""
    return RefusedError(404, {"detail": f"No {kind} matches the given query."})


def forbidden() -> RefusedError:
    """Return the 403 of a known person who may not do this."""
    return RefusedError(403, {"detail": "You do not have permission to perform this action."})


def bad_state(*states: str) -> RefusedError:
    """Return the 409 of an operation that the object's state does not allow."""
    return RefusedError(409, {"detail": f"Valid states for operation: {', '.join(states)}."})


def invalid(field: str, *messages: str) -> RefusedError:
    """Return the 400 of one invalid field."""
    return RefusedError(400, {field: list(messages)})


def invalid_list(message: str) -> RefusedError:
    """Return the 400 whose body is a bare list."""
    return RefusedError(400, [message])


def required(field: str) -> RefusedError:
    """Return the 400 of a field that was left out."""
    return invalid(field, "This field is required.")
