"""TLS to either service: the certificate files that its URL names, and what a handshake that failed means.

Nothing here turns a check off: who answers must have a certificate for the host in the URL, signed by an authority that
the URL names or, where it names none, that this system trusts.
"""

import ssl
from collections.abc import Mapping
from typing import NamedTuple

from worker.errors import RefuseToStartError, SettingsError, UnreachableError

_OTHER_TIME = {9, 10}  # OpenSSL's numbers: not valid yet, expired
_OTHER_HOST = {62, 64}  # of a name, of an address
_NO_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"}


class Options(NamedTuple):
    """What a URL calls the three files."""

    authority: str
    certificate: str
    key: str


AMQP = Options("cafile", "certfile", "keyfile")
POSTGRESQL = Options("sslrootcert", "sslcert", "sslkey")  # as in libpq


def context(query: Mapping[str, str], options: Options) -> ssl.SSLContext:
    """A context that checks certificate and host name, with the files that the query names.

    Raises:
        ValueError: a file can't be used; the message says which option names it, and not what stands there.
    """
    authority, certificate, key = (query.get(option) or None for option in options)
    if key and not certificate:
        raise ValueError(f"{options.key} needs {options.certificate}")
    try:
        made = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise ValueError(f"{options.authority} names a file of no use: {_why(error)}") from None
    try:
        if certificate:
            # Without the password an encrypted key would be asked for at the terminal.
            made.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise ValueError(f"{options.certificate} and {options.key} name files of no use: {_why(error)}") from None
    return made


def refusal(error: BaseException, setting: str, shown_url: str, options: Options) -> RefuseToStartError | None:
    """What to tell where the handshake failed and trying again would end the same; None for anything else."""
    failure = _of_tls(error)
    if isinstance(failure, ssl.SSLCertVerificationError):
        if failure.verify_code in _OTHER_TIME:
            return UnreachableError(
                f"{shown_url}: its certificate has expired or is not valid yet",
                "renew it there, or set this clock right",
            )
        if failure.verify_code in _OTHER_HOST:
            return SettingsError(
                f"{setting}: the certificate of {shown_url} is for another host: name the host as the certificate does"
            )
        return SettingsError(
            f"{setting}: the certificate of {shown_url} is signed by nobody who is trusted here: "
            f"name the file of its authority, {options.authority}=/path/ca.pem"
        )
    reason = (failure.reason or "") if failure is not None else ""
    if reason in _NO_TLS:
        return SettingsError(f"{setting}: {shown_url} does not speak TLS at this port")
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return SettingsError(
            f"{setting}: {shown_url} does not accept our certificate: look at {options.certificate} and {options.key}"
        )
    return None


def _of_tls(error: BaseException | None) -> ssl.SSLError | None:
    """The failure that a library has wrapped in its own; the AMQP client's errors may be each other's context."""
    seen = list[BaseException]()
    while error is not None and error not in seen:
        if isinstance(error, ssl.SSLError):
            return error
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it holds no certificate").lower().replace("_", " ")
    return error.strerror or type(error).__name__
