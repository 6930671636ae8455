//! The same placements as other load balancers, as recorded from the programs themselves; see
//! `vectors/README.md`.

use std::fs;
use std::path::Path;

use evenkeel::picker::Selector;
use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, Keyed, Libketama, NginxConsistent, NginxHash, NginxIpHash, Table,
    WholeRequest,
};
use evenkeel::{Backend, Pool};

/// Asks for each recorded key; returns how many there were.
fn agrees(table: impl Table, file: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hashing/vectors");
    let text = fs::read_to_string(path.join(format!("{file}.tsv"))).expect(file);
    let pool = Pool::new();
    let selector = Selector::new(pool.clone(), Keyed::new(table, WholeRequest));
    let mut keys = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["backend", id, weight, ref down @ ..] => {
                pool.insert(Backend::new(id, ()).weight(weight.parse().unwrap()));
                if down == ["down"] {
                    pool.drain(id);
                }
            }
            ["key", key, expected] => {
                let ((), completion) = selector.select(key).unwrap();
                assert_eq!(completion.backend(), expected, "{file}: key {key:?}");
                keys += 1;
            }
            _ => panic!("{file}: what does {line:?} mean?"),
        }
    }
    keys
}

#[test]
fn nginx_hash_places_keys_as_nginx_does() {
    for set in ["a", "b", "c", "d"] {
        assert_eq!(agrees(NginxHash::new(), &format!("nginx-hash.{set}")), 200);
    }
}

#[test]
fn nginx_consistent_places_keys_as_nginx_does() {
    for set in ["a", "b", "c", "d", "e"] {
        let file = format!("nginx-consistent.{set}");
        assert_eq!(agrees(NginxConsistent::new(), &file), 200);
    }
}

#[test]
fn nginx_ip_hash_places_addresses_as_nginx_does() {
    for set in ["a", "b", "c", "d"] {
        let file = format!("nginx-ip-hash.{set}");
        assert_eq!(agrees(NginxIpHash::new(), &file), 200);
    }
}

#[test]
fn libketama_places_keys_as_libketama_does() {
    for set in ["a", "b", "c", "f", "g"] {
        assert_eq!(agrees(Libketama::new(), &format!("libketama.{set}")), 200);
    }
}

#[test]
fn envoy_ring_hash_places_keys_as_envoy_does() {
    for set in ["a", "b", "c"] {
        let file = format!("envoy-ring-hash.{set}");
        assert_eq!(agrees(EnvoyRingHash::new(), &file), 200);
        let table = EnvoyRingHash::with_ring_size(4_096, 8_388_608).unwrap();
        assert_eq!(agrees(table, &format!("envoy-ring-hash-4096.{set}")), 200);
    }
    let table = EnvoyRingHash::with_ring_size(1_000, 1_000).unwrap();
    assert_eq!(agrees(table, "envoy-ring-hash-max1000.b"), 200);
}

#[test]
fn envoy_maglev_places_keys_as_envoy_does() {
    for set in ["a", "b", "c"] {
        let file = format!("envoy-maglev.{set}");
        assert_eq!(agrees(EnvoyMaglev::new(), &file), 200);
    }
    // So small that it shows in which order hosts claim their slots.
    for (size, file) in [
        (31, "envoy-maglev-31.b"),
        (31, "envoy-maglev-31.c"),
        (251, "envoy-maglev-251.b"),
    ] {
        assert_eq!(agrees(EnvoyMaglev::with_size(size).unwrap(), file), 200);
    }
}
