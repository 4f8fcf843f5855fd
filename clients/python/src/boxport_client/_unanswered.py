"""What a request without a reply means: which error it is, and whether another try may help."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

from boxport_client._errors import ConnectionFailed, RequestTimedOut
from boxport_client._retries import RETRYABLE_STATUSES

# Another connection may work; everything else that httpx raises would happen again.
RETRIED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
CONNECTING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# How httpx's words begin if a SOCKS proxy has not reached the service.
UNREACHED_BY_SOCKS = "Proxy Server could not connect"


def timed_out(service: str, timeout: float, request_id: str, tries: int) -> RequestTimedOut:
    """The error of a call that has not been answered within ``timeout`` seconds."""
    return RequestTimedOut(f"no answer from {service} within {timeout:g} s", request_id, tries)


def connection_failed(
    error: httpx.RequestError, service: str, request_id: str, tries: int
) -> ConnectionFailed:
    """The error of a request. service: its address, and the proxy before it."""
    fault = _tls_fault(error)
    if fault is not None:
        words = _tls_words(fault, service)
    elif isinstance(error, CONNECTING):
        words = f"cannot reach {service}: {_words(error)}"
    else:
        words = f"the connection to {service} broke: {_words(error)}"
    retryable = fault is None and _may_pass(error)
    return ConnectionFailed(words, request_id, tries, retryable)


def _may_pass(error: httpx.RequestError) -> bool:
    if isinstance(error, httpx.ProxyError):  # whose words begin with the proxy's status
        status = str(error)[:3]
        passes = status.isdigit() and int(status) in RETRYABLE_STATUSES
        return passes or str(error).startswith(UNREACHED_BY_SOCKS)
    return isinstance(error, RETRIED)


def _tls_fault(error: BaseException) -> ssl.SSLError | None:
    """The fault of TLS that caused ``error``: a certificate or a version, and no broken line."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, BROKEN_OFF):
            return cause
    return None


def _tls_words(fault: ssl.SSLError, service: str) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {service} is not trusted: {fault.verify_message}; if it should be,"
            " name a file with its authority's certificate: verify=, --ca-file or SSL_CERT_FILE"
        )
    return f"TLS with {service} failed: {fault}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: httpx.RequestError) -> str:
    return str(error) or type(error).__name__
