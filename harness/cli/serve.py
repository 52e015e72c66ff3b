"""The command serve: the judge as a service over HTTP."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    collect,
    data_option,
    flags_to_keys,
    memory_option,
    no_cache_option,
    sandbox_option,
    set_dotted,
    sets_option,
    time_limit_option,
    with_options,
    workers_option,
)

if TYPE_CHECKING:
    from harness.serve.admission import ServiceLimits


@dataclass(frozen=True)
class LimitOptions:
    """How much a service takes at a time, by the names of the command line."""

    request_time: float
    max_requests: int
    queue: int
    max_body_mb: float

    def limits(self) -> "ServiceLimits":
        from harness.serve.admission import ServiceLimits

        return ServiceLimits(
            self.max_body_mb, request_s=self.request_time, queue=self.queue, requests=self.max_requests
        )


def limit_options(command: Any) -> Any:
    """The options of LimitOptions, as `limiting`."""
    return with_options(
        collect(LimitOptions, "limiting")(command),
        click.option(
            "--request-time", type=float, default=600.0, metavar="S", help="Seconds for a request at most."
        ),
        click.option("--max-requests", type=int, default=256, metavar="N", help="Requests judged at a time."),
        click.option(
            "--queue", type=int, default=10_000, metavar="N", help="Samples waiting or judged at a time."
        ),
        click.option("--max-body-mb", type=float, default=32.0, metavar="N", help="Of one request."),
    )


@click.command("serve")
@click.argument("tasks", nargs=-1)
@data_option
@workers_option
@time_limit_option
@memory_option
@sandbox_option
@sets_option
@no_cache_option
@limit_options
@click.option("--show-errors", is_flag=True, help="Say why an answer fails, which can quote the tests.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other address needs a token.")
@click.option("--port", type=int, default=8017, show_default=True, help="0 is any free one.")
def serve_command(
    tasks: Sequence[str],
    host: str,
    port: int,
    sets: Sequence[str],
    no_cache: bool,
    show_errors: bool,
    limiting: LimitOptions,
    **flags: Any,
) -> None:
    """Give verdicts over HTTP: on TASKS' problems by name, on programs that come with tests, to runs elsewhere.

    Clients send the token in HARNESS_JUDGE_TOKEN as a bearer token.
    """
    from harness.config.load import apply_sets, with_defaults
    from harness.runs.services import TOKEN
    from harness.serve import server
    from harness.serve.admission import Admission
    from harness.serve.service import open_service

    token = os.environ.get(TOKEN, "")
    address = server.ListenAddress(host, port)
    server.check(address, token, TOKEN)
    plain: dict[str, Any] = {}
    set_dotted(plain, flags_to_keys(flags))
    plain = with_defaults(apply_sets(plain, sets), os.environ, not no_cache)
    service = open_service(tasks, plain, Admission(limiting.limits(), token), show_errors)
    try:
        server.serve(service, address, lambda url: click.echo(f"judging at {url}"))
    finally:
        service.close()
