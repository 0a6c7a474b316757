"""Several tenants of one deployment: their API keys, rates and lexicons (docs/how-to/security.md, "Tenants").

::

    caller ──key──▶ gate: authorizer (key → tenant, rate) ──signed header──▶ extractor, lexicons (header → rights)
"""
