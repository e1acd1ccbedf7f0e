"""What a URL says about TLS is checked before anything starts, and what went wrong is found in any error."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from worker.errors import SettingsError
from worker.persistence.address import address
from worker.settings import amqp_url, postgresql_url
from worker.tls import AMQP, context, refusal

BROKER, STORE = "amqps://ann:Zx9Qk7@broker/v", "postgresql+asyncpg://ann:Zx9Qk7@store/d"
OF: dict[Callable[[str], str], str] = {amqp_url: BROKER, postgresql_url: STORE}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate with its key, and a file that holds neither."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("worker").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    (folder / "empty.pem").write_text("")
    return folder


@pytest.mark.parametrize(
    ("check", "query"),
    [
        (amqp_url, ""),
        (amqp_url, "?cafile={}/ca.pem"),
        (amqp_url, "?cafile={}/ca.pem&certfile={}/client.pem&keyfile={}/client.pem"),
        (postgresql_url, ""),
        (postgresql_url, "?ssl=disable"),
        (postgresql_url, "?ssl=verify-full"),
        (postgresql_url, "?ssl=verify-full&sslrootcert={}/ca.pem&sslcert={}/client.pem"),
    ],
)
def test_a_url_may_ask_for_checks(check: Callable[[str], str], query: str, files: Path) -> None:
    url = OF[check] + query.replace("{}", str(files))
    assert check(url) == url


@pytest.mark.parametrize(
    ("check", "query", "told"),
    [
        (amqp_url, "?no_verify_ssl=1", "would take anybody for the broker"),
        (amqp_url, "?cafile={}/none.pem", "cafile names a file of no use: No such file"),
        (amqp_url, "?cafile={}/empty.pem", "cafile names a file of no use: no certificate"),
        (amqp_url, "?keyfile={}/client.pem", "keyfile needs certfile"),
        (amqp_url, "?certfile={}/ca.pem", "certfile and keyfile name files of no use"),
        (amqp_url, "?cafile={}/ca.pem&cafile={}/ca.pem", "has an option twice"),
        (postgresql_url, "?ssl=require", "takes ssl=verify-full or ssl=disable"),
        (postgresql_url, "?ssl=prefer", "takes ssl=verify-full or ssl=disable"),
        (postgresql_url, "?ssl=true", "takes ssl=verify-full or ssl=disable"),
        (postgresql_url, "?sslmode=verify-full", "takes ssl=verify-full or ssl=disable"),
        (postgresql_url, "?ssl=verify-full&ssl=disable", "has an option twice"),
        (postgresql_url, "?sslrootcert={}/ca.pem", "sslrootcert: only together with ssl=verify-full"),
        (
            postgresql_url,
            "?ssl=verify-full&sslrootcert={}/none.pem",
            "sslrootcert names a file of no use: No such file",
        ),
    ],
)
def test_a_url_that_would_check_less_than_it_seems_is_refused(
    check: Callable[[str], str], query: str, told: str, files: Path
) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        check(OF[check] + query.replace("{}", str(files)))
    assert "Zx9Qk7" not in str(refused.value)


def test_certificate_files_without_tls_are_a_mistake(files: Path) -> None:
    with pytest.raises(ValueError, match="cafile: only together with amqps"):
        amqp_url(f"amqp://broker/v?cafile={files}/ca.pem")


def test_the_context_checks_who_answers(files: Path) -> None:
    made = context({"cafile": f"{files}/ca.pem"}, AMQP)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert len(made.get_ca_certs()) == 1, "whom the URL names is trusted, and nobody else"


def test_the_driver_is_given_the_context_and_not_the_options(files: Path) -> None:
    url, arguments = address(f"{STORE}?ssl=verify-full&sslrootcert={files}/ca.pem&prepared_statement_cache_size=7")
    assert dict(url.query) == {"prepared_statement_cache_size": "7"}
    assert arguments["ssl"].verify_mode is ssl.CERT_REQUIRED
    assert arguments["ssl"].check_hostname
    assert address(STORE)[1] == {}


def test_the_cause_is_found_however_deep_and_errors_in_a_circle_end() -> None:
    cause = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    cause.reason = "WRONG_VERSION_NUMBER"
    outer, inner = ConnectionError(), OSError()
    outer.__context__, inner.__cause__ = inner, cause
    assert isinstance(refusal(outer, "HEROES_X", "there", AMQP), SettingsError)
    inner.__cause__, inner.__context__ = None, outer
    assert refusal(outer, "HEROES_X", "there", AMQP) is None
