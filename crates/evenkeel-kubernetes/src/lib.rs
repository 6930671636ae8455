//! Kubernetes EndpointSlices as a source of backends for evenkeel.
