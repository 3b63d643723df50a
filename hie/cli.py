"""The `hie` commands: argument parsing only; what each does stands in hie/commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hie import __version__

if TYPE_CHECKING:
    from hie.commands.load import Progress
    from hie.settings import Settings

MODELS = click.Choice(["chest-xray", "recommender"])
EXISTING = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


class Commands(click.Group):
    """Turns every expected error of a command into one line on standard error and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # of a pipe that its reader has closed click says nothing
        except Exception as error:
            from hie.commands.failures import sentence

            text = sentence(error)
            if text is None:
                raise
            raise click.ClickException(text) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hie")
def main() -> None:
    """A FHIR R4 health information exchange."""


def _settings(**overrides: Any) -> Settings:
    from hie.settings import Settings

    return Settings.from_env(**overrides)


data_dir_option = click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Directory of database, keys and locks."
)

supervised_option = click.option("--supervised", is_flag=True, hidden=True, help="End when standard input ends.")


@main.command()
@click.option("--host", help="Address to bind; 127.0.0.1 unless set.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to bind; 0 takes a free one.")
@data_dir_option
@click.option("--workers", type=click.IntRange(1, 256), help="Web processes.")
@click.option("--blocking-threads", "threads", type=click.IntRange(1, 256), help="Threads of each web process.")
@click.option("--job-worker/--no-job-worker", "embedded_worker", default=None, help="Start a job worker too.")
@supervised_option
def serve(supervised: bool, **given: Any) -> None:
    """Serve FHIR at /fhir and the administration at /admin."""
    from hie.commands.serve import serve

    serve(_settings(**given), click.echo, supervised=supervised)


@main.command()
@data_dir_option
@supervised_option
def worker(data_dir: Path | None, supervised: bool) -> None:
    """Claim jobs (images to read, and others) until ended."""
    from hie.commands.worker import work

    work(_settings(data_dir=data_dir), supervised=supervised)


@main.command()
@data_dir_option
@click.option("--keep-serving/--exit", default=None, help="Go on serving afterwards; on a terminal the default.")
def demo(data_dir: Path | None, keep_serving: bool | None) -> None:
    """Make sample records, have an image read, print the Observation and what to try next."""
    from hie.commands.demo import demo

    demo(data_dir, sys.stdout.isatty() if keep_serving is None else keep_serving, click.echo)


@main.group(cls=Commands)
def token() -> None:
    """Bearer tokens of clients."""


@token.command("create")
@click.option("--client", "name", required=True, help="Name of the client; made if there is none.")
@click.option("--scope", "scopes", multiple=True, required=True, help="For example system/*.cruds, or admin.")
@click.option("--expires-in", "days", type=click.FloatRange(0, 3_650, min_open=True), default=90.0, show_default=True,
              help="Days until it expires.")  # fmt: skip
@data_dir_option
def token_create(name: str, scopes: tuple[str, ...], days: float, data_dir: Path | None) -> None:
    """Print a new token, alone on standard output."""
    from hie.commands.token import create

    click.echo(create(_settings(data_dir=data_dir), name, scopes, days))


@token.command("list")
@data_dir_option
def token_list(data_dir: Path | None) -> None:
    """List clients and their tokens; never the tokens themselves."""
    from hie.commands.token import listing

    _print(listing(_settings(data_dir=data_dir)))


@token.command("revoke")
@click.argument("token_id")
@data_dir_option
def token_revoke(token_id: str, data_dir: Path | None) -> None:
    """Revoke the token with this id (see `hie token list`)."""
    from hie.commands.token import revoke

    revoke(_settings(data_dir=data_dir), token_id)
    click.echo(f"Token {token_id} is revoked.")


@main.command()
@click.option("--url", required=True, help="Base of the FHIR API, for example http://127.0.0.1:8080/fhir.")
@click.option("--token", help="Bearer token; HIE_TOKEN or --token-file keep it out of the list of processes.")
@click.option("--token-file", type=EXISTING, help="File that holds the token.")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path),
              help="File that notes what is stored; hie-load.journal beside the first FILE unless set.")  # fmt: skip
@click.option("--patient", help="Patient/[id] whose images DICOM files are (X-Security-Context).")
@click.argument("files", nargs=-1, required=True, type=EXISTING, metavar="FILE…")
def load(
    url: str, token: str | None, token_file: Path | None, parallel: int, journal: Path | None, patient: str | None,
    files: tuple[Path, ...],
) -> None:  # fmt: skip
    """Send Bundles (.json), resources or Bundles by line (.ndjson) and DICOM files (.dcm) to a server.

    .gz, .xz, .tar, .tar.gz, .tar.xz and .zip of them are read as a stream. A second run sends only what is missing.
    """
    from hie.commands.bearer import from_options
    from hie.commands.load import JOURNAL_NAME
    from hie.commands.load import load as run
    from hie.commands.loading.units import is_loadable

    if strangers := [path.name for path in files if not is_loadable(path)]:
        raise click.UsageError(f"{', '.join(strangers)}: not the name of a file that can be loaded (see --help).")
    bearer = from_options(token, token_file)
    if bearer is None:
        raise click.UsageError("A token is needed: --token, --token-file or the variable HIE_TOKEN.")
    place = journal or files[0].parent / JOURNAL_NAME
    with _Shown() as shown:
        summary = run(files, url, bearer, journal=place, parallel=parallel, patient=patient, report=shown)
    _print(summary.table())
    if summary.refusals:
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("source", metavar="SOURCE")
@click.option("--url", required=True, help="Base of the server that follows, for example http://127.0.0.1:8080/fhir.")
@click.option("--token", help="Its bearer token; HIE_TOKEN or --token-file keep it out of the list of processes.")
@click.option("--token-file", type=EXISTING, help="File that holds the token.")
@click.option("--source-token", help="Bearer token of SOURCE, if it needs one; or HIE_SOURCE_TOKEN.")
@click.option("--source-token-file", type=EXISTING, help="File that holds the token of SOURCE.")
@click.option("--source-header-file", type=EXISTING,
              help="File of headers that say to SOURCE who asks, one a line: X-Api-Key: value.")  # fmt: skip
@click.option("--type", "types", multiple=True, help="Follow this type alone; may be repeated.")
@click.option("--since", help="Begin with versions of this instant (2024-05-17T10:30:00Z), whatever the state says.")
@click.option("--every", type=click.FloatRange(1, 86_400), help="Go on, and ask again after so many seconds.")
@click.option("--overlap", type=click.FloatRange(0, 86_400), default=120.0, show_default=True,
              help="Seconds that a poll looks back: as long as a write at SOURCE may take.")  # fmt: skip
@click.option("--count", type=click.IntRange(1, 10_000), default=500, show_default=True,
              help="Versions that are asked for at once (_count).")  # fmt: skip
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), default="hie-follow.state", show_default=True,
              help="File that notes how far SOURCE was followed.")  # fmt: skip
def follow(
    source: str, url: str, token: str | None, token_file: Path | None, source_token: str | None,
    source_token_file: Path | None, source_header_file: Path | None, types: tuple[str, ...], since: str | None,
    every: float | None, overlap: float, count: int, state: Path,
) -> None:  # fmt: skip
    """Send what the history of SOURCE, the base of a FHIR server, has of new to another server.

    A second run goes on where the last one ended.
    """
    from hie.commands.bearer import from_options, source_headers
    from hie.commands.follow import Follower, wanted

    bearer = from_options(token, token_file)
    if bearer is None:
        raise click.UsageError("A token is needed: --token, --token-file or the variable HIE_TOKEN.")
    try:
        headers = source_headers(source_token, source_token_file, source_header_file)
        asked = wanted(types, since, overlap, count)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with _Shown() as shown, Follower(
        source, url, bearer, state, asked, headers=headers, say=click.echo,
        report=shown if every is None else lambda progress: None,
    ) as follower:  # fmt: skip
        if every is not None:
            follower.go_on(every)
        poll = follower.poll()
    _print(poll.table())
    if poll.sent.refusals:
        raise click.exceptions.Exit(1)


class _Shown:
    """Shows progress: a bar on a terminal, a line every tenth otherwise, or every 10,000 where no end is known."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._label, self._tenth = "", -1

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, progress: Progress) -> None:
        if not progress.size:
            self._count(progress)
            return
        if not sys.stderr.isatty():
            self._line(progress)
            return
        if progress.label != self._label:
            if self._bar is not None:
                self._bar.render_finish()
            self._label = progress.label
            self._bar = click.progressbar(length=max(1, progress.size), label=f"{progress.label:13}", file=sys.stderr)
        self._bar.update(progress.read - self._bar.pos)

    def _count(self, progress: Progress) -> None:
        if (progress.label, progress.read // 10_000) != (self._label, self._tenth):
            self._label, self._tenth = progress.label, progress.read // 10_000
            click.echo(f"{progress.label}: {progress.read}", err=True)

    def _line(self, progress: Progress) -> None:
        tenth = 10 * progress.read // max(1, progress.size)
        if (progress.label, tenth) != (self._label, self._tenth):
            self._label, self._tenth = progress.label, tenth
            click.echo(f"{progress.label}: {10 * tenth} %, {progress.entries} stored", err=True)


@main.command()
@click.argument("model", type=MODELS)
@click.option("--data", multiple=True, type=EXISTING,
              help="Training data; without it the recommender learns from the records in the store.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Directory of the result.")
@click.option("--seed", type=int, default=1, show_default=True)
def train(model: str, data: tuple[Path, ...], out: Path | None, seed: int) -> None:
    """Train MODEL; the same data and seed give the same model."""
    from hie.commands.train import train

    _print(train(model, data, out or Path(f"trained-{model}"), seed))


@main.command()
@click.argument("model", type=MODELS)
@click.option("--data", multiple=True, type=EXISTING,
              help="Data that the model has not seen; without it the recommender is measured on the store.")
@click.option("--model-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Directory of a trained model; the shipped one unless set.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
def evaluate(model: str, data: tuple[Path, ...], model_dir: Path | None, as_json: bool) -> None:
    """Measure MODEL and print the figures."""
    from hie.commands.evaluate import evaluate

    _print(evaluate(model, data, model_dir, as_json=as_json))


@main.group()
def package() -> None:
    """Packages of profiles, and whether writes are judged by them."""


@package.command("install")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@data_dir_option
def package_install(files: tuple[Path, ...], data_dir: Path | None) -> None:
    """Install the packages in FILES (.tgz): profiles, extensions, value sets and code systems."""
    from hie.commands.package import install

    _print(install(_settings(data_dir=data_dir), files))


@package.command("list")
@data_dir_option
def package_list(data_dir: Path | None) -> None:
    """List the installed packages, and how declared profiles are treated on write."""
    from hie.commands.package import listing

    _print(listing(_settings(data_dir=data_dir)))


@package.command("remove")
@click.argument("name")
@click.option("--version", help="Only this version; every version unless given.")
@data_dir_option
def package_remove(name: str, version: str | None, data_dir: Path | None) -> None:
    """Remove the package NAME."""
    from hie.commands.package import remove

    _print(remove(_settings(data_dir=data_dir), name, version))


@package.command("validation")
@click.argument("mode", type=click.Choice(["off", "warn", "reject"]))
@data_dir_option
def package_validation(mode: str, data_dir: Path | None) -> None:
    """Judge what is written by the profiles it declares: off, warn or reject."""
    from hie.commands.package import validation

    _print(validation(_settings(data_dir=data_dir), mode))


@main.command()
@data_dir_option
def check(data_dir: Path | None) -> None:
    """Check that every row opens, indexes match contents, and the audit chain is whole."""
    from hie.commands.check import check

    findings = list(check(_settings(data_dir=data_dir), click.echo))
    _print(findings)
    if findings:
        raise click.exceptions.Exit(1)


@main.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/settings.md.")
def settings(markdown: bool) -> None:
    """Print every setting: value (secrets hidden), where it came from, what it means."""
    from hie.commands.settings import page, table

    _print(page() if markdown else table(_settings()))


@main.command()
def routes() -> None:
    """Print every route of the server with the scope it asks for."""
    from hie.commands.routes import table

    _print(table())


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


if __name__ == "__main__":
    main(prog_name="hie")
