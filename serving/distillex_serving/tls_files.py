"""Check the PEM files of an encrypted server before it starts; Triton's errors name neither file nor fault."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from distillex_serving.errors import PreconditionError


@dataclass(frozen=True)
class TlsPem:
    """What the files hold at one moment."""

    certificate: str
    key: str
    client_ca: str | None


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for gRPC: the server's certificate and key, and a CA to demand client certificates of."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @staticmethod
    def of(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
        """Return the files of a command's options; None where no certificate is given.

        Raises
        ------
        PreconditionError
            Where one of the options lacks another.
        """
        if (certificate is None) != (key is None):
            raise PreconditionError("--tls-certificate and --tls-key are given together or not at all")
        if client_ca is not None and certificate is None:
            raise PreconditionError("--tls-client-ca needs --tls-certificate and --tls-key")
        return TlsFiles(certificate, key, client_ca) if certificate and key else None

    def check(self) -> TlsPem:
        """Read the files.

        Raises
        ------
        PreconditionError
            Names the file that is missing or not what it should be.
        """
        certificate = _require(
            self.certificate, "--tls-certificate", "-----BEGIN CERTIFICATE-----", "a certificate in PEM"
        )
        key = _require(self.key, "--tls-key", "PRIVATE KEY-----", "a private key in PEM")
        client_ca = None
        if "ENCRYPTED" in key:
            raise PreconditionError(
                f"--tls-key {self.key}: the key is encrypted, and cannot be used with a password; "
                f"'openssl pkey -in {self.key} -out PLAIN.pem' decrypts it"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password given, OpenSSL would ask the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise PreconditionError(
                    f"--tls-key {self.key} is not the key of --tls-certificate {self.certificate}"
                ) from None
            raise PreconditionError(f"{self.certificate}, {self.key}: no certificate with its key: {error}") from None
        if self.client_ca is not None:
            client_ca = _require(
                self.client_ca, "--tls-client-ca", "-----BEGIN CERTIFICATE-----", "a certificate in PEM"
            )
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise PreconditionError(f"--tls-client-ca {self.client_ca}: no certificates in PEM: {error}") from None
        return TlsPem(certificate, key, client_ca)


def _require(path: Path, option: str, mark: str, what: str) -> str:
    try:
        content = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise PreconditionError(f"{option} {path}: {error.strerror}") from None
    if mark not in content:
        raise PreconditionError(f"{option} {path}: this is not {what}")
    return content
