"""The gate's certificate, handed to Envoy again when its files change: calls go on, new connections see the new one."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from distillex_serving.errors import PreconditionError
from distillex_serving.gate.configuration import certificate_discovery, write_configuration
from distillex_serving.tls_files import TlsFiles, TlsPem

LOG = logging.getLogger("distillex.serve")
POLL_S = 2.0


class Certificates:
    """Writes what Envoy reads, and looks at the PEM files from then on.

    Envoy could watch the files itself, but it takes what it finds: a certificate whose key is not there yet, or a file
    that is half written. Here a pair is taken when it is one.

    Parameters
    ----------
    files
        PEM files, which may be replaced, written in place, or be links that are turned to others (Kubernetes).
    folder
        Of the files that are written for Envoy.

    Raises
    ------
    PreconditionError
        Where the files cannot be used at first.
    """

    def __init__(self, files: TlsFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._pem = files.check()
        self._said = ""
        self._write(self._pem)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="certificates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        try:
            pem = self._files.check()
            if pem != self._pem:
                self._write(pem)
                self._pem = pem
                LOG.info("%s: a new certificate is in use", self._files.certificate)
        except (PreconditionError, OSError) as error:
            # Often half of a renewal; what is still wrong at the next look is said.
            if str(error) != self._said:
                self._said = str(error)
                LOG.warning("the previous certificate stays in use: %s", error)
        else:
            self._said = ""

    def _write(self, pem: TlsPem) -> None:
        for name, content in certificate_discovery(pem).items():
            write_configuration(self._folder / name, content)
