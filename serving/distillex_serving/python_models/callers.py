"""Identify a request's tenant from the gate's signature, as Triton passes it to a Python model."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex.errors import RefusedError
from distillex.lexicon_rights import LexiconRights

from distillex_serving.errors import ForgedError
from distillex_serving.tenants.files import SECRET_VARIABLE, TENANTS_VARIABLE, TenantFiles
from distillex_serving.tenants.signature import HEADER, tenant_of
from distillex_serving.tenants.tenant_file import Tenant

NOBODYS = LexiconRights()


class Callers:
    """The tenants, as a model of this server sees them.

    Triton makes a parameter of the request of each header that it is told to forward, beside those that the caller
    sets: so a parameter is believed for its signature alone.
    """

    def __init__(self, files: TenantFiles) -> None:
        self._tenants, self._secrets = files.watch()

    @staticmethod
    def of_environment(model: str) -> Callers | None:
        """Return what the environment names; None: this server has no tenants, and every caller every right.

        Raises
        ------
        pb_utils.TritonModelException
            Where one of the files is missing or wrong: then nobody is served.
        """
        tenants, secret = os.environ.get(TENANTS_VARIABLE), os.environ.get(SECRET_VARIABLE)
        if not tenants and not secret:
            return None
        if not tenants or not secret:
            missing = SECRET_VARIABLE if tenants else TENANTS_VARIABLE
            raise pb_utils.TritonModelException(f"{model} cannot start: {missing} is not set, and the other is")
        try:
            return Callers(TenantFiles(Path(tenants), Path(secret)))
        except ValueError as error:
            raise pb_utils.TritonModelException(f"{model} cannot start: {error}") from None

    def tenant_of(self, request: Any) -> Tenant | None:
        """Return whose request it is; None where it does not say.

        Raises
        ------
        RefusedError
            Where what it says is not signed.
        ExpiredError
            Where the signature's time is over.
        """
        pairs: list[tuple[str, Any]] = json.loads(request.parameters() or "{}", object_pairs_hook=list)
        said = [value for name, value in pairs if name.lower() == HEADER]
        if not said:
            return None
        if len(said) > 1 or not isinstance(said[0], str):
            raise RefusedError(f"the request names its tenant more than once ({HEADER})")
        try:
            name = tenant_of(said[0], self._secrets.content(), time.time())
        except ForgedError as error:
            raise RefusedError(str(error)) from None
        tenant = self._tenants.content().by_name.get(name)
        if tenant is None:
            raise RefusedError(f"the tenant {name!r} is not known here")
        return tenant

    def pushes(self, name: str) -> bool:
        """Tell whether a tenant may push a lexicon of this name."""
        return any(tenant.push.allow(name) for tenant in self._tenants.content().by_name.values())

    def rights_of(self, request: Any) -> LexiconRights:
        """Return which named lexicons the request's texts may use: of a caller who does not say who it is, none."""
        tenant = self.tenant_of(request)
        return tenant.lexicons if tenant is not None else NOBODYS
