"""The names and values that stay in a redacted capture, because Port or HTTP defines them. This module is pure."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYS = _names(
    """
    X-Port-Signature X-Port-Timestamp x-port-signature x-port-timestamp RUN_ID Content-Type content-type accessToken
    action actionIdentifier after agent allowCustomInput answer at approval approvalNotification attempt before
    blueprint blueprintIdentifier body branch by byId censoredProperties changelogDestination claimedUntil code
    condition config content context count createdAt createdBy data default defaultBranch deleted description detail
    details diff display email encryptedProperties encryption endedAt entities entity entityIdentifier enum env
    error errors event executionIdentity expiresIn externalRunId expression firstName format formProperties groups
    headers headline icon id identifier identityToken impersonatedBy inputs installationId integration
    integrationProvider invocationMethod invokedBy isAutomated items key labels lastName level link links log logs
    loc message method mirrorProperties msg name node nodeConfig nodeIdentifier nodeRun nodeRunId nodeRuns ok
    onTimeout operation operator order org orgId origin output path payload pendingExecution picture port_context
    port_payload portAccessToken properties property publish query rawProperties reason relation relations report
    reportWorkflowStatus request requestId required requiredApproval resource resourceType response result retries
    rule rules run runId run_id runs scorecards secrets source spec state status statusCode statusLabel success
    summary synchronized target team teams template terminationStatus text timestamp title tokenType trace traceback
    trigger triggerId triggeredBy type uid updatedAt updatedBy url user userEmail userId userInputs value variables
    verbose version viewCondition wfRunId workflow workflowIdentifier workflowInputs workflowRun workflowRunId
    """
)
"""The keys of Port's payloads and messages, and of common JSON responses. Other keys are replaced."""

VALUES = _names(
    """
    CREATE DAY-2 DELETE UPDATE UPSERT UI API AUTOMATION AI_AGENT SCHEDULE USER SYSTEM INTEGRATION TRIGGERED
    IN_PROGRESS SUCCESS FAILURE FAILED COMPLETED CANCELLED PENDING WAITING WAITING_FOR_APPROVAL APPROVE APPROVED
    DECLINE DECLINED SKIPPED TIMEOUT ALL ANY OPEN CLOSED ACTIVE INVITED STAGED DISABLED ENTITY_CREATED
    ENTITY_UPDATED ENTITY_DELETED ANY_ENTITY_CHANGE TIMER_PROPERTY_EXPIRED RUN_CREATED RUN_UPDATED ANY_RUN_CHANGE
    ENTITY TIMER RUN WEBHOOK KAFKA GITHUB GITLAB AZURE_DEVOPS AZURE-DEVOPS UPSERT_ENTITY INTEGRATION_ACTION INPUT
    CONDITION SELF_SERVICE EVENT_TRIGGER SELF_SERVE_TRIGGER GET POST PUT PATCH HEAD OPTIONS INFO WARN WARNING ERROR
    DEBUG run entity blueprint action automation self-service string number boolean object array integer null true
    false email url user team date-time aes256-gcm client-side text markdown yaml json proto webhook kafka and or
    contains in v1 v2 ok error application/json text/plain
    """
)
"""The values of Port's enumerations, and words that identify nobody. They stay if they are a whole string."""

METHODS = _names("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT")

FAULTS = frozenset({"unreachable", "timeout", "broken", "too-large", "failed"})

HEADER_NAMES = _names(
    """
    accept accept-charset accept-encoding accept-language age allow authorization cache-control connection
    content-disposition content-encoding content-language content-length content-type cookie date etag expect
    expires forwarded from host keep-alive last-modified link location origin pragma proxy-authorization
    proxy-connection referer retry-after run_id server set-cookie strict-transport-security te traceparent
    tracestate trailer transfer-encoding upgrade user-agent vary via www-authenticate x-amzn-trace-id x-api-key
    x-content-type-options x-correlation-id x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto
    x-frame-options x-github-event x-port-reserved-usage x-port-run-id x-port-signature x-port-timestamp
    x-powered-by x-process-time x-real-ip x-request-id
    """
)

PROTOCOL_HEADERS = _names(
    """
    accept accept-charset accept-encoding allow cache-control connection content-encoding content-type expect
    keep-alive pragma te transfer-encoding trailer upgrade vary x-content-type-options x-forwarded-proto
    x-frame-options
    """
)
"""The headers whose values consist of `PROTOCOL_WORDS`."""

PROTOCOL_WORDS = _names(
    """
    accept age any application br charset chunked close compress content cp1252 deflate deny encoding event form get
    gzip html http https identity iso iso8859 javascript json keep alive latin latin1 max multipart must no nosniff
    octet options origin patch plain post private problem proto public put q revalidate sameorigin store stream text
    trailers type transform urlencoded us ascii utf utf8 windows www x xml yaml zstd head delete 0 1 2 4 5 8 9 15 16
    16be 16le 32 32be 32le 1252 8859
    """
)

ERROR_WORDS = _names(
    """
    a after an and as at be because before body broken by bytes cannot certificate closed complete connect connected
    connection could did error failed field find first for from function handler has header host http https in
    interrupted invalid is its larger length line listener ms name network no not of or than port read reached
    refused request reset resolve resolved respond response s seconds send sent server ssl status target the this
    timed timeout tls to too unreachable was within without
    """
)
"""The words in port-hook's messages about a request without a response."""

AGENTS = r"(?:axios|curl|node|undici|okhttp|python-requests|python-httpx|aiohttp|Go-http-client|port-hook)"
