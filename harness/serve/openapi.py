"""The description of the routes, made of the table that serves them and of the messages' own schemas."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pydantic.json_schema import models_json_schema

from harness import __version__
from harness.runs.services import wire
from harness.schema import Value
from harness.serve import messages

ERRORS: Mapping[str, str] = {
    "401": "No token, or another one",
    "403": "Without a token only this machine's own names are answered",
    "404": "No such task, problem or database",
    "408": "The body did not come in time",
    "413": "Too large a body, or too many samples",
    "415": "Not application/json",
    "422": "What was posted is wrong: one line says what would be right",
    "429": "Too much at a time: Retry-After says when to come again",
    "500": "A bug of the service: asking again would not help",
    "503": "The judge failed, or the time was over: ask again",
}
OPEN = ("/health",)  # without a token
READS: Mapping[str, tuple[str, type[Value] | None]] = {
    "/health": ("Whether the service is up", None),
    "/metrics": ("Counts and times, as Prometheus reads them", None),
    "/v1/tasks": ("The tasks that are served, and who judges", messages.TaskList),
    "/v1/tasks/{name}": ("A task's problems, what they ask, without what judges them", messages.ProblemList),
}


class Described(Protocol):
    """A route that judges (app.Operation)."""

    @property
    def path(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def asks(self) -> type[Value] | None: ...
    @property
    def answers(self) -> type[Value] | None: ...


def describe(operations: Iterable[Described]) -> dict[str, Any]:
    """OpenAPI 3.1. Routes between two installations of this project are not for others, and left out."""
    public = [each for each in operations if each.asks is not None]
    models = {
        model: "validation" if model is each.asks else "serialization"
        for each in public
        for model in (each.asks, each.answers)
        if model is not None
    } | {model: "serialization" for _, model in READS.values() if model is not None}
    references, definitions = models_json_schema(
        list(models.items()),  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )
    schemas = {model: reference for (model, _), reference in references.items()}
    paths: dict[str, Any] = {
        path: {"get": _read(path, summary, schemas.get(model) if model else {})}
        for path, (summary, model) in READS.items()
    }
    for each in public:
        assert each.asks is not None
        assert each.answers is not None
        paths[each.path] = {"post": _post(each.summary, schemas[each.asks], schemas[each.answers])}
        if "stream" in each.asks.model_fields:
            content = paths[each.path]["post"]["responses"]["200"]["content"]
            content[wire.LINES] = {"schema": {"$ref": "#/components/schemas/Judgement"}}  # of each line
    return {
        "openapi": "3.1.0",
        "info": {"title": "harness serve", "version": __version__},
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": definitions.get("$defs", {}),
        },
        "paths": paths,
    }


def _read(path: str, summary: str, schema: Any) -> dict[str, Any]:
    kind = "text/plain" if path == "/metrics" else "application/json"
    described: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "The answer", "content": {kind: {"schema": schema}}}},
    }
    if path in OPEN:
        described["security"] = []
    if "{name}" in path:
        described["parameters"] = [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    return described


def _post(summary: str, asks: Any, answers: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": answers}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": asks}}},
        "responses": {
            "200": {"description": "The answer", "content": content},
            **{status: {"description": why} for status, why in ERRORS.items()},
        },
    }
