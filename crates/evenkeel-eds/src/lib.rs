//! Envoy's endpoint discovery service (EDS) as a source of backends for evenkeel.
