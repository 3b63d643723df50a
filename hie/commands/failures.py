"""The errors that a command expects, as one sentence each."""

from __future__ import annotations

from hie.errors import FhirError

#: By name: a command that starts need not import what it will not use.
EXPECTED = frozenset({
    "builtins.OSError",
    "hie.commands.connection.ExchangeError",
    "hie.commands.failures.CommandError",
    "hie.commands.following.state.StateError",
    "hie.commands.loading.journal.JournalError",
    "hie.fhir.profiles.package.PackageError",
    "hie.fhir.scopes.ScopeError",
    "hie.registry.RegistryError",
    "hie.settings.SettingsError",
    "hie.store.store.StoreProblem",
    "ml.result.ModelError",
    "sqlalchemy.exc.DBAPIError",
})  # fmt: skip


class CommandError(Exception):
    """A command that cannot do what it was asked; the text says why and what would help."""


def sentence(error: BaseException) -> str | None:
    """Return what to tell the user; None for an error that is a mistake of ours and deserves its traceback."""
    if isinstance(error, FhirError):
        return " ".join(issue.diagnostics for issue in error.issues)
    names = {f"{one.__module__}.{one.__qualname__}" for one in type(error).__mro__}
    if names & EXPECTED:
        return str(error).strip() or type(error).__name__
    return None
