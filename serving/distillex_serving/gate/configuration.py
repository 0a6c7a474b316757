"""The gate's Envoy configuration, made of its options."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillex_client.errors import NOT_SERVED_NOW

from distillex_serving.addresses import LOOPBACK
from distillex_serving.gate.options import (
    GATE_METRICS_PATH,
    LARGE_BYTES,
    LIVE_PATH,
    METHODS,
    READY_PATH,
    GateOptions,
    HttpDoor,
    Servers,
)
from distillex_serving.tenants.authorizer import AUTHORIZE, CHARGE, OPEN_PATHS, TEXTS
from distillex_serving.tenants.signature import HEADER
from distillex_serving.tls_files import TlsFiles, TlsPem

FILTER = Path(__file__).with_name("filter.lua")
_ADMIN = "admin"
_AUTHORIZER = "authorizer"
_CERTIFICATE, _AUTHORITY = "certificate", "authority"
_REQUEST = r"(\[.*\] )?(in ensemble '[a-z_]+', )?(\[.*\] )?"
STOPPING = (
    rf"{_REQUEST}Request for unknown model: '[a-z_]+' {NOT_SERVED_NOW}",
    _REQUEST + r"Server is stopping, [a-z ]+",
    "Server exiting",
)
"""The whole of what Triton answers to calls that it does not take any more because it stops.

Other answers repeat words of callers, but none has them at its end. Envoy takes short expressions alone.
"""
GET_CONNECTIONS = 64
"""Connections at once of each listener for probes and Prometheus."""
SOFT_HEAP_BYTES = 96 * 1024 * 1024
"""Above so much the gate gives freed memory back to the system."""


@dataclass(frozen=True)
class _Mark:
    """How the filter marks a request as passed for the router; the values are secret."""

    header: str = "x-distillex-passed"
    small: str = field(default_factory=secrets.token_hex)
    large: str = field(default_factory=secrets.token_hex)


@dataclass(frozen=True)
class GateFiles:
    """Where this machine's gate has its own files."""

    admin: Path
    """Unix socket to open for Envoy's own administration (readiness, statistics)."""
    authorizer: Path | None = None
    """Unix socket of the service that knows the tenants; needed with them."""
    certificates: Path | None = None
    """Folder of the files of :func:`certificate_discovery`; None: Envoy reads the PEM files themselves, once."""


def envoy_configuration(options: GateOptions, upstream: Path | Servers, files: GateFiles) -> dict[str, Any]:
    """Return Envoy's bootstrap configuration.

    Parameters
    ----------
    options
        The gate's settings.
    upstream
        Unix socket of Triton's gRPC, or the servers' name.
    files
        Of the gate itself.
    """
    admin = files.admin
    status_listeners = [] if options.status_port is None else [_status_listener(options.address, options.status_port)]
    get_listeners = [*(_http_listener(options.address, door) for door in options.http_doors), *status_listeners]
    return {
        # Who asks, where secrets are read from a file.
        "node": {"id": "gate", "cluster": "distillex"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "static_resources": {
            "listeners": [
                _listener(options, upstream, files),
                *get_listeners,
            ],
            "clusters": [
                _triton_cluster("triton", upstream, options.limits.max_calls),
                _triton_cluster("triton_large", upstream, options.limits.max_large_calls),
                *(
                    _cluster(
                        f"http_{door.port}", _socket_address(LOOPBACK, door.triton_port), max_calls=16, http2=False
                    )
                    for door in options.http_doors
                ),
                *(
                    _cluster(_ADMIN, {"pipe": {"path": str(admin)}}, max_calls=16, http2=False)
                    for _ in status_listeners
                ),
                *([_authorizer_cluster(options, files)] if options.tenants is not None else []),
            ],
        },
        # nghttp2 instead of Envoy's newer codec: an eighth less CPU a call, 0.97 instead of 0.94 of the throughput
        # without a gate (benchmarks/bench_gate.py).
        "layered_runtime": {
            "layers": [
                {"name": "codec", "static_layer": {"envoy.reloadable_features.http2_use_oghttp2": False}},
                {
                    "name": "connections",
                    "static_layer": {
                        f"envoy.resource_limits.listener.{each['name']}.connection_limit": GET_CONNECTIONS
                        for each in get_listeners
                    },
                },
            ]
        },
        "memory_allocator_manager": {
            "bytes_to_release": 32 * 1024 * 1024,
            "memory_release_interval": "1s",
            "soft_memory_limit_bytes": SOFT_HEAP_BYTES,
            "max_unfreed_memory_bytes": SOFT_HEAP_BYTES,
        },
        "overload_manager": {
            "refresh_interval": "0.05s",
            # Eight classes of calls by size, from 4 KiB to 512 KiB and more: the largest are ended first, up to 50
            # whenever the pressure has changed. So the scale must not saturate while there is something to end.
            "buffer_factory_config": {"minimum_account_to_track_power_of_two": 12},
            "resource_monitors": [
                _named(
                    "envoy.resource_monitors.fixed_heap",
                    "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    max_heap_size_bytes=options.limits.max_heap_bytes,
                ),
                _named(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=options.limits.max_connections,
                ),
            ],
            "actions": [
                {
                    "name": "envoy.overload_actions.reset_high_memory_stream",
                    "triggers": [
                        {
                            "name": "envoy.resource_monitors.fixed_heap",
                            "scaled": {"scaling_threshold": 0.15, "saturation_threshold": 1.0},
                        }
                    ],
                },
                *(
                    {
                        "name": f"envoy.overload_actions.{action}",
                        "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}],
                    }
                    for action, threshold in (("shrink_heap", 0.15), ("stop_accepting_requests", 0.95))
                ),
            ],
        },
    }


def _listener(options: GateOptions, upstream: Path | Servers, files: GateFiles) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [_manager_filter(_http_connection_manager(options, upstream))]}
    if options.tls is not None:
        chain["transport_socket"] = _tls(options.tls, files.certificates)
    return {
        "name": "grpc",
        "address": _socket_address(options.address, options.port),
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        # A port that another gate took is an error, not a port to share.
        "enable_reuse_port": False,
        "filter_chains": [chain],
    }


def _http_listener(host: str, door: HttpDoor) -> dict[str, Any]:
    cluster = f"http_{door.port}"
    routes = [_get(path, {"route": {"cluster": cluster, "timeout": "10s"}}) for path in door.paths]
    return _get_listener(cluster, host, door.port, routes)


def _status_listener(host: str, port: int) -> dict[str, Any]:
    """Return the routes about the gate itself: live, ready, metrics."""
    metrics = {"cluster": _ADMIN, "timeout": "10s", "prefix_rewrite": "/stats/prometheus"}
    routes = [_get(LIVE_PATH, {"direct_response": {"status": 200}}), _get(GATE_METRICS_PATH, {"route": metrics})]
    # Unlike a route's own answer, this one says no once the gate drains.
    ready = _named(
        "envoy.filters.http.health_check",
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": READY_PATH}}],
    )
    return _get_listener("status", host, port, routes, ready)


def _get(path: str, action: dict[str, Any]) -> dict[str, Any]:
    return {"match": {"path": path, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}, **action}


def _get_listener(
    name: str, host: str, port: int, routes: list[dict[str, Any]], *filters: dict[str, Any]
) -> dict[str, Any]:
    manager = {
        "stat_prefix": name,
        "codec_type": "HTTP1",
        "common_http_protocol_options": {"idle_timeout": "60s", "max_headers_count": 64},
        "request_headers_timeout": "10s",
        "request_timeout": "10s",
        "server_name": "distillex",
        "route_config": {"virtual_hosts": [{"name": "triton", "domains": ["*"], "routes": routes}]},
        "http_filters": [*filters, _buffer(1024), _router()],
    }
    return {
        "name": name,
        "address": _socket_address(host, port),
        "per_connection_buffer_limit_bytes": 64 * 1024,
        "enable_reuse_port": False,
        # Callers who hold all connections of gRPC must not make probes fail: it has a limit of its own.
        "ignore_global_conn_limit": True,
        # Nor must a gate that is short of memory be ended for it, as one that stands still.
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [_manager_filter(manager)]}],
    }


def _socket_address(host: str, port: int) -> dict[str, Any]:
    address: dict[str, Any] = {"address": host, "port_value": port}
    if host == "::":
        address["ipv4_compat"] = True
    return {"socket_address": address}


def _http_connection_manager(options: GateOptions, upstream: Path | Servers) -> dict[str, Any]:
    mark = _Mark()
    tenants = options.tenants is not None
    too_large = f"the request has more than {options.limits.max_request_bytes:,} bytes (--max-request-mib)"
    return {
        **({"early_header_mutation_extensions": [_without_tenant()]} if tenants else {}),
        "stat_prefix": "grpc",
        "codec_type": "HTTP2",
        "http2_protocol_options": {
            "max_concurrent_streams": options.limits.max_streams,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
        "common_http_protocol_options": {
            "idle_timeout": "900s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "request_headers_timeout": "10s",
        "request_timeout": f"{options.limits.message_timeout_s}s",
        "stream_idle_timeout": f"{options.limits.call_timeout_s}s",
        "server_name": "distillex",
        "generate_request_id": False,
        "normalize_path": True,
        "use_remote_address": True,
        # Triton reads no such header, and every one costs both sides.
        "skip_xff_append": True,
        "local_reply_config": {
            "mappers": [{**_exhausted(413), "body": {"inline_string": too_large}}, _exhausted(429)],
        },
        "route_config": {
            "virtual_hosts": [{"name": "triton", "domains": ["*"], "routes": _routes(options, upstream, mark)}],
            # Envoy passes unknown headers on; Triton's gRPC gets only what its clients send.
            "request_headers_to_remove": [
                "content-encoding",
                "grpc-internal-encoding-request",
                *(["authorization"] if tenants else []),
            ],
        },
        "http_filters": [
            # Before anything of a call is kept.
            *([_authorization()] if tenants else []),
            _buffer(options.limits.max_request_bytes),
            _named(
                "envoy.filters.http.lua",
                "envoy.extensions.filters.http.lua.v3.Lua",
                default_source_code={"inline_string": _filter_source(options, mark)},
            ),
            # Counts the servers' answers by gRPC's status: a request that is wrong is told from a server that is. It
            # stands where a call has a server, since Envoy had a fault where it has none (CVE-2026-47204).
            _named(
                "envoy.filters.http.grpc_stats",
                "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
                stats_for_all_methods=False,
            ),
            _router(),
        ],
    }


def _exhausted(status: int) -> dict[str, Any]:
    """Return what makes RESOURCE_EXHAUSTED of a refusal by Envoy's own filters."""
    return {
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "unused"}}
            }
        },
        "headers_to_add": [
            {"header": {"key": "grpc-status", "value": "8"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }


def _without_tenant() -> dict[str, Any]:
    """Return what takes the header away that callers sent: whose call it is, the gate alone says."""
    return _named(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[{"remove": HEADER}],
    )


def _authorization() -> dict[str, Any]:
    return _named(
        "envoy.filters.http.ext_authz",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        http_service={
            "server_uri": {"uri": f"http://{_AUTHORIZER}", "cluster": _AUTHORIZER, "timeout": "2s"},
            "path_prefix": AUTHORIZE,
            "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": HEADER}]}},
        },
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
    )


def _filter_source(options: GateOptions, mark: _Mark) -> str:
    """Return filter.lua with the settings in it."""
    settings = {
        "METHODS": ", ".join(f'["{method}"] = true' for method in METHODS),
        "MODELS": ", ".join(f'["{model}"] = true' for model in options.models),
        "MODELS_IN_WORDS": ", ".join(options.models),
        "LARGE_BYTES": str(LARGE_BYTES),
        "MARK": mark.header,
        "SMALL": mark.small,
        "LARGE": mark.large,
        "TENANT": HEADER if options.tenants is not None else "",
        "OPEN": ", ".join(f'["{path}"] = true' for path in OPEN_PATHS),
        "AUTHORIZER": _AUTHORIZER,
        "CHARGE": CHARGE,
        "TEXTS": TEXTS,
    }
    source = FILTER.read_text(encoding="utf-8")
    for name, value in settings.items():
        source = source.replace(f"@{name}@", value)
    return source


def _routes(options: GateOptions, upstream: Path | Servers, mark: _Mark) -> list[dict[str, Any]]:
    retries = {"retry_policy": _retry_policy()} if isinstance(upstream, Servers) else {}

    def route(cluster: str, value: str) -> dict[str, Any]:
        header = {"name": mark.header, "string_match": {"exact": value}}
        return {
            "match": {"prefix": "/", "grpc": {}, "headers": [header]},
            "route": {
                "cluster": cluster,
                "timeout": "0s",
                "max_stream_duration": {"max_stream_duration": f"{options.limits.call_timeout_s}s"},
                **retries,
            },
            "request_headers_to_remove": [mark.header],
        }

    # The authorization is asked where there is a route: so a call has one before it is marked, to nowhere.
    nowhere = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return [route("triton", mark.small), route("triton_large", mark.large), nowhere]


def _retry_policy() -> dict[str, Any]:
    """Return when a call goes to another server: only where the first one has certainly not begun it.

    A call that broke off in the middle does not: it may be what ended that server, or a push that was carried out.
    """
    return {
        "retry_on": "connect-failure,refused-stream,retriable-headers",
        "retriable_headers": [
            {"name": "grpc-message", "string_match": {"safe_regex": {"regex": words}}} for words in STOPPING
        ],
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            _named(
                "envoy.retry_host_predicates.previous_hosts",
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        # A server that stops answers at once, so it has the fewest calls and is drawn again and again; a draw is cheap.
        "host_selection_retry_max_attempts": 100,
    }


def _triton_cluster(name: str, upstream: Path | Servers, max_calls: int) -> dict[str, Any]:
    if isinstance(upstream, Path):
        return _cluster(name, {"pipe": {"path": str(upstream)}}, max_calls=max_calls, http2=True)
    addresses = [_socket_address(*each) for each in ((upstream.host, upstream.port), *upstream.others)]
    return {
        **_cluster(name, *addresses, max_calls=max_calls, http2=True, max_retries=max_calls),
        # Each address of the name is a server, and is called while it says that all its models are ready.
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": "2s",
        "lb_policy": "LEAST_REQUEST",
        "ignore_health_on_host_removal": True,
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # One that takes no connection, or breaks them off, is left out before health checks tell. What a server answers
        # does not count, errors included: no caller can have one left out.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 50,
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {},
            }
        ],
    }


def _authorizer_cluster(options: GateOptions, files: GateFiles) -> dict[str, Any]:
    address = {"pipe": {"path": str(files.authorizer)}}
    return _cluster(_AUTHORIZER, address, max_calls=options.limits.max_calls, http2=False)


def _cluster(
    name: str, *addresses: dict[str, Any], max_calls: int, http2: bool, max_retries: int = 0
) -> dict[str, Any]:
    protocol = {"http2_protocol_options": {"initial_stream_window_size": 1024 * 1024}}
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    explicit = protocol if http2 else {"http_protocol_options": {}}
    return {
        "name": name,
        "connect_timeout": "5s",
        "type": "STATIC",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_requests": max_calls,
                    "max_pending_requests": max_calls,
                    "max_connections": 64,
                    "max_retries": max_retries,
                }
            ]
        },
        "typed_extension_protocol_options": {
            kind: {"@type": f"type.googleapis.com/{kind}", "explicit_http_config": explicit}
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
    }


def _tls(files: TlsFiles, certificates: Path | None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
    }
    if certificates is not None:
        context["tls_certificate_sds_secret_configs"] = [_discovered(_CERTIFICATE, certificates)]
        if files.client_ca is not None:
            context["validation_context_sds_secret_config"] = _discovered(_AUTHORITY, certificates)
    else:
        context["tls_certificates"] = [
            {
                "certificate_chain": {"filename": str(files.certificate.resolve())},
                "private_key": {"filename": str(files.key.resolve())},
            }
        ]
        if files.client_ca is not None:
            context["validation_context"] = {"trusted_ca": {"filename": str(files.client_ca.resolve())}}
    return _named(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=context,
        require_client_certificate=files.client_ca is not None,
    )


def _discovered(name: str, folder: Path) -> dict[str, Any]:
    source = {"path_config_source": {"path": str(folder / f"{name}.json")}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def certificate_discovery(pem: TlsPem) -> dict[str, dict[str, Any]]:
    """Return the files from which Envoy takes its certificate and the authority of client certificates, by their names.

    Each holds one secret: Envoy refuses a file with two.
    """
    secrets: dict[str, dict[str, Any]] = {
        _CERTIFICATE: {
            "tls_certificate": {
                "certificate_chain": {"inline_string": pem.certificate},
                "private_key": {"inline_string": pem.key},
            },
        }
    }
    if pem.client_ca is not None:
        secrets[_AUTHORITY] = {"validation_context": {"trusted_ca": {"inline_string": pem.client_ca}}}
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return {
        f"{name}.json": {"resources": [{"@type": kind, "name": name, **secret}]} for name, secret in secrets.items()
    }


def _manager_filter(settings: dict[str, Any]) -> dict[str, Any]:
    return _named(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **settings,
    )


def _buffer(max_request_bytes: int) -> dict[str, Any]:
    return _named(
        "envoy.filters.http.buffer",
        "envoy.extensions.filters.http.buffer.v3.Buffer",
        max_request_bytes=max_request_bytes,
    )


def _router() -> dict[str, Any]:
    return _named(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        dynamic_stats=False,
        suppress_envoy_headers=True,
    )


def _named(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **settings}}


def write_configuration(path: Path, configuration: dict[str, Any]) -> None:
    """Put it in place whole, as JSON, which Envoy reads, for the owner alone: it names files, addresses and keys."""
    new = path.with_name(f"{path.name}.new")
    new.touch(0o600)
    new.write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    new.replace(path)
