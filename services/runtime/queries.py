"""Queries about pictures, as services exchange them: one a line."""

from collections.abc import Iterable

from services.runtime.stage import MediaError

MAX_QUERIES, MAX_QUERY_CHARS = 16, 200


def checked_queries(queries: Iterable[str]) -> tuple[str, ...]:
    """The queries with single spaces. Raises MediaError for too many of them, and for a blank or too long one."""
    found = tuple(" ".join(query.split()) for query in queries)
    if len(found) > MAX_QUERIES:
        raise MediaError(f"{len(found)} queries, must be at most {MAX_QUERIES}: ask for fewer at once")
    for query in found:
        if not 1 <= len(query) <= MAX_QUERY_CHARS:
            raise MediaError(f"a query has {len(query)} characters, must have 1 to {MAX_QUERY_CHARS}, not all blank")
    return found


def query_lines(queries: Iterable[str]) -> str:
    """What `parse_queries` reads. Raises MediaError as `checked_queries`."""
    return "\n".join(checked_queries(queries))


def parse_queries(text: str) -> tuple[str, ...]:
    """Read lines of a query; empty lines ask nothing. Raises MediaError as `checked_queries`."""
    return checked_queries(line for line in text.splitlines() if line.strip())
