"""What other servers have, and FHIR R4 has not: what does the same here, for who comes from one of them.

HAPI, Microsoft's FHIR server, Medplum, LinuxForHealth's, Aidbox, Firely Server, Blaze, Google's and R5's own.
Parameters of one's own (SearchParameter) may have these names: they are asked about what is unknown alone.
"""

from __future__ import annotations

from hie.fhir.paging import OFFSET

#: They say where a page begins: passed over, each of them would be answered with the first page.
PLACES_OF_PAGES = frozenset({
    "_getpages", "_getpagesoffset", "_page", "_skip", "_continuationToken", "includesCt", "_page_token",
    "_pageToken", "__t", "__page-id", "__page-offset", "_after", "_changeIdMarker", "ct", "offset", "page", "skip",
})  # fmt: skip
_ERASED = ("what was deleted is kept, until an administrator erases it by DELETE [type]/[id]/_history, once it is "
           "deleted")
_EXPLAINED = "GET [type]/$explain?… tells how a search is answered"
_INCLUDED = "_include and _revinclude bring what is referred to, and what refers"
_INDEXED = "$reindex by POST, with a token of the scope admin, indexes anew"
_GONE = "deletions stand in GET [type]/_history, and _asOf=[instant] searches the record as it was"
_COUNTED = "_count says how many resources a page has"
_COUNT_ALONE = "_summary=count tells how many there are"
_MATCHED = "Patient/$match finds who may be one person, and links or merges nothing"
_MERGED = ("Patient/$match finds who may be one person; a transaction writes Patient.link into both records, and lets "
           "what refers to the one refer to the other")
_REPOINTED = "GET [type]?[reference]=[id] finds what refers, and a transaction of patches changes all of it at once"
_OF_CODES = "a code system is stored as a CodeSystem, or comes with a package that an administrator installs"
_EXPANDED = "a value set is expanded anew whenever it is asked for"
_BEFORE = "every version is kept: GET [type]/[id]/_history/[vid] has what was before, and PUT brings it back"
_FORMS = "forms are not filled in or taken apart here; QuestionnaireResponse/$validate judges answers"
_LOADED = "a transaction or batch, POST [base], stores many resources at once, and the command hie load sends files"
_PARAMETERS = {
    "_fields": "_elements=name,birthDate chooses elements",
    "_compartment": "a compartment is searched by its address, as in GET Patient/[id]/Observation or Patient/[id]/*",
    "_deleted": _GONE,
    "_includeDeleted": _GONE,
    "_history": "versions are at GET [type]/[id]/_history",
    "_includeHistory": "versions are at GET [type]/[id]/_history",
    "_createdAt": "when a resource came tells its history: GET [type]/[id]/_history",
    "_project": "a token sees its own tenant alone",
    "_explain": _EXPLAINED,
    "__explain": _EXPLAINED,
    "_total-method": "_total=none, estimate or accurate says how matches are counted",
    "_type": "only a search over several types takes it; a chain names its type as in subject:Patient.name",
    "_totalMethod": "_total=none, estimate or accurate says how matches are counted",
    "_ilike": "[parameter]:contains=… finds what stands inside of texts, _content=… words",
    "_with": _INCLUDED,
    "_assoc": _INCLUDED,
    "_result": "matches come in a Bundle",
    "_meta-history": "every update that changes something makes a version, $meta-add as well",
    "_includesCount": "what is included comes with its page, of which _count says how many matches it has",
    "_in": "_list=[id] is for Lists, _has:Group:member:_id=[id] and _has:CareTeam:participant:_id=[id] for the others",
    "_maxresults": _COUNTED,
    "_graph": "GET [type]/[id]/$graph?graph=… brings what a GraphDefinition names",
    "_language": "R5's SearchParameter of this code (base Resource, expression Resource.language) can be stored, and a "
                 "search over several types then names them by _type",
    "_limit": _COUNTED,
    "limit": _COUNTED,
    "_hardDelete": _ERASED,
    "hardDelete": _ERASED,
    "_purge": _ERASED,
    "_purgeHistory": _ERASED,
    "_expunge": _ERASED,
    "_remove-references": "_cascade=delete takes along what refers to what is deleted",
    "_at": "_asOf=[instant] searches the record as it was then; _at is for histories",
    "_before": "of a history _at=lt2024-05-01 are the versions from before that day",
    "_excludeTransactionTimeoutWindow": "the time of a version is when its request began: who follows changes asks "
                                        "_since from some time before the newest that is known",
    "_till": "of a history _at=lt2024-05-01 are the versions from before that day",
}  # fmt: skip
#: In front of the names of some of HAPI's own operations.
_OF_HAPI = "hapi.fhir."
_OPERATIONS = {
    "expunge": _ERASED,
    "erase": _ERASED,
    "purge": _ERASED,
    "purge-history": _ERASED,
    "bulk-delete": "DELETE [type]?[criteria]&_count=[most] deletes what matches",
    "bulk-update": "PATCH [type]?[criteria] changes the one that matches, a batch or transaction of patches several",
    "includes": f"{_INCLUDED} on the page of its matches",
    "status": "the status of a SearchParameter stands in it (active, retired), and GET $reindex tells how far it is",
    "count": _COUNT_ALONE,
    "resource-counts": _COUNT_ALONE,
    "totals": _COUNT_ALONE,
    "resource-count": _COUNT_ALONE,
    "get-resource-counts": _COUNT_ALONE,
    "mark-all-resources-for-reindexing": _INDEXED,
    "perform-reindexing-pass": _INDEXED,
    "binary-access-read": "GET Binary/[id] answers the content in its own format to who does not ask for FHIR's",
    "binary-access-write": "PUT Binary/[id] takes the content in its own format",
    "convert-data": "$convert makes FHIR of other formats",
    "export-poll-status": "the Content-Location that $export answered, [base]/_async/[id], tells how far it is",
    "import": _LOADED,
    "import-poll-status": _LOADED,
    "bulk-submit": _LOADED,
    "search": "a search is GET [type]?…, or POST [type]/_search with a form",
    "csv": "a search answers a Bundle; _elements=name,birthDate chooses elements",
    "healthcheck": "GET /health tells whether the server and its database work",
    "merge": _MERGED,
    "undo-merge": _BEFORE,
    "undo-replace-references": _BEFORE,
    "replace-references": _REPOINTED,
    "member-match": f"{_MATCHED}; GET Coverage?identifier=[number] finds a Coverage",
    "delete-expunge": f"DELETE [type]?[criteria]&_count=[most] deletes what matches; {_ERASED}",
    "bulk-patch": "PATCH [type]?[criteria] changes the one that matches, a transaction of patches several",
    "invalidate-expansion": _EXPANDED,
    "reindex-terminology": _EXPANDED,
    "upload-external-code-system": _OF_CODES,
    "apply-codesystem-delta-add": _OF_CODES,
    "apply-codesystem-delta-remove": _OF_CODES,
    "trigger-subscription": "no notifications are sent here; _history?_since=[instant]&_sort=_lastUpdated tells what "
                            "was written",
    "populate": _FORMS,
    "extract": _FORMS,
}  # fmt: skip


def parameter(name: str) -> str | None:
    """Tell what does here what a parameter does elsewhere; None where it is none that is known."""
    if name in PLACES_OF_PAGES:
        return f"the link next leads to the page behind, and {OFFSET} with _count to one further on"
    return _PARAMETERS.get(name)


def operation(code: str) -> str | None:
    """Tell what does here what an operation does elsewhere; None where it is none that is known."""
    code = code.removeprefix(_OF_HAPI)
    return _MATCHED if code.startswith("mdm-") else _OPERATIONS.get(code)
