//! etcd as a source of backends for evenkeel, and a registrar.
