"""The rows of SLS's error table (manual: sls, "Errors") as behaviours of the fake, and what becomes of the logs.

The fates are a decision per row, written down here independently of the module.

    clock     taken at the second try, signed with the server's time, at once
    retry     tried again later, and taken when the service is well again
    refresh   the credential is fetched anew, then tried again
    split     the batch is sent in parts
    isolate   the bad log is found by sending parts, once; the others arrive
    drop      failed at the first answer: trying again cannot help
"""

from .fake_sls import Behaviour

_BUGS = (
    "InvalidRequestTime", "InvalidDateFormat", "MissingDate", "InvalidHost", "MissingHost", "InvalidAPIVersion",
    "MissingAPIVersion", "MissingSignatureMethod", "InvalidSignatureMethod", "MissAccessKeyId", "MissingBodyRawSize",
    "InvalidBodyRawSize", "InvalidCompressType", "MissingContentType", "MissingParameter", "ParameterInvalid",
)  # fmt: skip
_POISON = ("PostBodyInvalid", "PostBodyUncompressError", "InvalidTimestamp", "InvalidEncoding", "InvalidKey")
_CREDENTIAL = ("Unauthorized", "InvalidAccessKeyId", "SecurityTokenExpired", "SecurityToken.Expired")
_QUOTA = ("WriteQuotaExceed", "ShardWriteQuotaExceed", "ExceedQuota")

ROWS: dict[str, tuple[str, Behaviour]] = {
    "400-RequestTimeExpired": ("clock", Behaviour(400, "RequestTimeExpired")),
    "400-RequestTimeTooSkewed": ("clock", Behaviour(400, "RequestTimeTooSkewed")),
    **{f"400-{code}": ("drop", Behaviour(400, code)) for code in _BUGS},
    **{f"400-{code}": ("isolate", Behaviour(400, code)) for code in _POISON},
    "400-PostBodyTooLarge": ("split", Behaviour(400, "PostBodyTooLarge")),
    "413-PostBodyTooLarge": ("split", Behaviour(413, "PostBodyTooLarge")),
    "411-MissingContentLength": ("drop", Behaviour(411, "MissingContentLength")),
    "415-InvalidContentType": ("drop", Behaviour(415, "InvalidContentType")),
    **{f"401-{code}": ("refresh", Behaviour(401, code)) for code in _CREDENTIAL},
    **{f"403-{code}": ("retry", Behaviour(403, code)) for code in _QUOTA},
    "500-InternalServerError": ("retry", Behaviour(500, "InternalServerError")),
    "500-RequestTimeout": ("retry", Behaviour(500, "RequestTimeout")),
    "503-ServerBusy": ("retry", Behaviour(503, "ServerBusy")),
    "502-gateway-page": ("retry", Behaviour(502, request_id=False, body=b"<html>Bad Gateway</html>")),
    # A 4xx that SLS did not write says nothing about our request: a proxy, a DNS hijack.
    "404-not-from-sls": ("retry", Behaviour(404, request_id=False, body=b"<html>Not Found</html>")),
    "400-without-request-id": ("retry", Behaviour(400, "PostBodyInvalid", request_id=False)),
    "reset": ("retry", Behaviour(reset=True)),
    "hang": ("retry", Behaviour(hang=True)),
}

# Rows whose fate depends on more than the answer (which key, how long after the logstore's creation): the description leaves
# the choice between waiting and dropping. Only that they end, in a counted outcome, is asked of them.
UNDECIDED: dict[str, Behaviour] = {
    "401-SignatureNotMatch": Behaviour(401, "SignatureNotMatch"),
    "403-ProjectForbidden": Behaviour(403, "ProjectForbidden"),
    "403-ProjectQuotaExceed": Behaviour(403, "ProjectQuotaExceed"),
    "403-QuotaExceed": Behaviour(403, "QuotaExceed"),
    "403-MetaOperationQpsLimitExceeded": Behaviour(403, "MetaOperationQpsLimitExceeded"),
    "404-ProjectNotExist": Behaviour(404, "ProjectNotExist"),
    "404-LogStoreNotExist": Behaviour(404, "LogStoreNotExist"),
    "400-LogStoreWithoutShard": Behaviour(400, "LogStoreWithoutShard"),
}
