"""The command doctor: what this machine can do, whether a task's checks are reliable on it, and whether recorded
verdicts are judged as they were."""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    collect,
    data_option,
    parse_config,
    sandbox_option,
    set_dotted,
    sets_option,
    with_options,
)
from harness.cli.output import json_option, print_json, quiet_option, show_progress
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.parity.certify import Parity
    from harness.results.audit.wrappings import ReadBack
    from harness.schema import Certificate, CertifiedSet


@dataclass(frozen=True)
class ParityOptions:
    parity: str | None
    only: Sequence[str]
    out: Path


def parity_options(command: Any) -> Any:
    return with_options(
        collect(ParityOptions, "recorded")(command),
        click.option(
            "--out",
            type=click.Path(dir_okay=False, path_type=Path),
            default=Path("certificate.json"),
            show_default=True,
            help="With --parity: where the certificate goes.",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="SET",
            help="With --parity: only this set. Several times: several.",
        ),
        click.option(
            "--parity",
            metavar="DATA",
            help="Judge the recorded outputs in the folder DATA: do verdicts agree?",
        ),
    )


@click.command()
@json_option
@click.option(
    "--task",
    metavar="T",
    help="Prove T's checks on your data: references pass, also as chat models wrap them.",
)
@parity_options
@data_option
@sets_option
@sandbox_option
@quiet_option
def doctor(
    as_json: bool,
    task: str | None,
    recorded: ParityOptions,
    data: str | None,
    sets: Sequence[str],
    sandbox: str | None,
) -> None:
    """What this machine can do: the sandbox attacked, devices, extras, versions."""
    plain: dict[str, Any] = {"task": task or "", "data": data}
    set_dotted(plain, {"judge.sandbox": sandbox})
    config = parse_config(plain, sets, "--set")
    if recorded.parity is not None:
        _certify(recorded, config, as_json)
        return
    if recorded.only:
        raise click.UsageError("--only is for --parity DATA")
    if task is not None:
        _prove_task(config, as_json)
        return
    from harness.sandbox import self_check

    found = self_check.check_machine(config.judge)
    if as_json:
        print_json(found)
    else:
        click.echo(_doctor_text(found))
    if not found["sandbox"]["held"]:
        sys.exit(3)


def _prove_task(config: "RunConfig", as_json: bool) -> None:
    from harness.results.audit import wrappings
    from harness.runs import judge
    from harness.runs.plan import make_plan

    plan = make_plan(config)
    with judge.open_sandbox(config.judge, plan.task) as box:
        wrong = judge.prove(plan.task, plan.problems, box)
        wrapped = wrappings.read_back(plan.task, plan.problems, box)
    if as_json:
        read = None if wrapped is None else asdict(wrapped)
        print_json({"problems": len(plan.problems), "unreliable": list(wrong), "wrapped": read})
    else:
        click.echo("".join(f"{line}\n" for line in wrong), nl=False)
        click.echo(f"{len(plan.problems)} problems: {len(wrong)} unreliable checks")
        if wrapped is not None:
            click.echo(_wrappings_text(wrapped))
    if wrong:
        raise UserError(f"task {plan.task.name!r}: {len(wrong)} of its checks are wrong on this data")


def _certify(recorded: ParityOptions, config: "RunConfig", as_json: bool) -> None:
    from harness.config import certificate
    from harness.parity import certify
    from harness.parity.sets import SETS
    from harness.runs.store.atomic import to_json, write_atomic

    out, say = recorded.out, (lambda text: None) if as_json else click.echo
    asked = certify.Parity(SETS, recorded.only, recorded.parity or "", config.judge)
    left_out = asked.left_out()
    for name, why in left_out.items():
        if why != certify.NOT_ASKED:
            say(f"{name:40} ABSENT: {why}")
    begun = certificate.load(out) if out.exists() else None
    for made in _shown(asked, begun):
        write_atomic(out, to_json(made.model_dump(mode="json")))
        say(_set_text(made.sets[-1]))
    say(_total_text(made))
    say(f"certificate {certificate.short(made)} in {out}")
    if as_json:
        print_json(made.model_dump(mode="json"))
    if any(one.unexplained or one.of_time for one in made.sets):
        sys.exit(3)


def _shown(asked: "Parity", begun: "Certificate | None") -> Iterator["Certificate"]:
    """The certificate after each set. Each has a live line of its own, which is gone before anything is printed."""
    from harness.parity import certify

    number, wanted = 0, len(asked.sets) - len(asked.left_out())

    def step(stage: str, *counts: Any) -> None:
        line(f"{number}/{wanted} {stage}", *counts)

    certificates = certify.certify(asked, begun, step)
    while True:
        number += 1
        with show_progress() as line:
            made = next(certificates, None)
        if made is None:
            return
        yield made


def _total_text(made: "Certificate") -> str:
    wrong = sum(len(one.unexplained) for one in made.sets)
    slow = sum(len(one.of_time) for one in made.sets)
    differ = sum(len(one.disagreements) for one in made.sets)
    rows = sum(one.rows for one in made.sets)
    of_time = f", {slow} a matter of time (judge again on an idle machine)" if slow else ""
    not_run = sum(len(one.not_run) for one in made.sets)
    return (
        f"{len(made.sets)} sets, {rows:,} outputs: {rows - differ:,} agree, {differ - wrong - slow} differ for a known"
        f" cause{of_time}, {wrong} unexplained; {f'{not_run:,} outputs not run; ' if not_run else ''}"
        f"{len(made.left_out)} sets left out"
    )


def _set_text(found: "CertifiedSet") -> str:
    not_run = f", {len(found.not_run):,} not run" if found.not_run else ""
    lines = [f"{found.name:40} {found.agreed:,} of {found.rows:,} agree{not_run}"]
    lines += [
        f"  {each.id}: recorded {each.recorded!r}, here {each.own!r}: {each.cause or 'UNEXPLAINED'}"
        for each in found.disagreements
    ]
    if found.second_try:
        lines.append(f"  agree when judged again, by themselves: {_some(found.second_try)}")
    for why, _ in Counter(found.not_run.values()).most_common():
        lines.append(
            f"  not run, {_some([name for name, said in found.not_run.items() if said == why])}: {why}"
        )
    return "\n".join(lines)


def _wrappings_text(found: "ReadBack") -> str:
    """The forms in which references are read, and those that lose some."""
    from harness.results.audit.wrappings import WRAPPINGS

    good = [name for name in WRAPPINGS if name not in found.lost]
    lines = [f"references as chat models wrap them: read from {len(good)} of {len(WRAPPINGS)} forms"]
    lines += textwrap.wrap(", ".join(good), 108, initial_indent="  read     ", subsequent_indent=" " * 11)
    lines += [f"  LOST     {name}: {_some(ids)}" for name, ids in found.lost.items()]
    if found.drafts:
        lines += [f"  DRAFT    taken out of an unfinished <think>: {_some(found.drafts)}"]
    return "\n".join(lines)


def _some(ids: Sequence[str], most: int = 5) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return f"{len(ids)}: {', '.join(ids[:most])}{more}"


def _doctor_text(found: dict[str, Any]) -> str:
    box = found["sandbox"]
    lines = [f"sandbox    {box['isolation'] or 'none: ' + box['error']}"]
    lines += [f"  {'held' if p['held'] else 'BROKEN':8} {p['name']} ({p['status']})" for p in box["probes"]]
    lines += [f"isolation  {'; '.join(f'{level}: {answer}' for level, answer in box['levels'].items())}"]
    lines += _attack_lines(box["attacks"])
    lines += ["languages", *(f"  {name:10} {line}" for name, line in found["languages"].items())]
    lines += [f"devices    {'; '.join(found['devices']) or 'torch is not installed'}"]
    lines += [
        f"extras     {', '.join(name + (' yes' if there else ' no') for name, there in found['extras'].items())}"
    ]
    lines += [f"versions   {', '.join(f'{name} {value}' for name, value in found['versions'].items())}"]
    lines += [f"hardware   {', '.join(f'{value}' for value in found['hardware'].values())} cores"]
    return "\n".join(lines)


def _attack_lines(attacks: list[dict[str, Any]]) -> list[str]:
    """The attacks that were held, grouped by status, and each attack that got through on a line of its own."""
    if not attacks:
        return ["attacks    not tried: they do harm where the isolation is not known to hold"]
    held = [attack for attack in attacks if attack["held"]]
    lines = [f"attacks    {len(attacks)} tried, {len(held)} held, {len(attacks) - len(held)} got through"]
    lines += [f"  BROKEN   {attack['name']} ({attack['status']})" for attack in attacks if not attack["held"]]
    for status in dict.fromkeys(attack["status"] for attack in held):
        names = ", ".join(attack["name"] for attack in held if attack["status"] == status)
        lines += textwrap.wrap(names, 108, initial_indent=f"  {status:8} ", subsequent_indent=" " * 11)
    return lines
