//! Settings out of their range are refused with an error that says so; requests without a key, and
//! keys of any bytes, are taken.

use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, HashAlgorithm, Keyed, Maglev, RingHash, WholeRequest, key_of,
};
use evenkeel::picker::{Context, RoundRobin, Update};
use evenkeel::{BackendSet, Picker};

use crate::setup::{pick, prepared, set, small};

fn refused<T, E: ToString>(setting: Result<T, E>) -> String {
    setting.err().expect("it is out of range").to_string()
}

#[test]
fn a_table_size_is_a_prime_that_is_not_too_large() {
    let largest_u32_prime = 4_294_967_291;
    for size in [
        0,
        1,
        4,
        65_536,
        65_539 * 3,
        5_000_010,
        5_000_077,
        largest_u32_prime,
        u32::MAX,
    ] {
        let message = format!("invalid table size {size}: expected a prime from 2 to 5000011");
        assert_eq!(refused(Maglev::with_size(size)), message);
        assert_eq!(refused(EnvoyMaglev::with_size(size)), message);
    }
    for size in [2, 3, 251, 65_537, 5_000_011] {
        assert!(Maglev::with_size(size).is_ok(), "{size}");
        assert!(EnvoyMaglev::with_size(size).is_ok(), "{size}");
    }
}

#[test]
fn a_ring_has_points_but_not_too_many() {
    for points in [0, 65_537, u32::MAX] {
        let message = format!(
            "invalid number of points {points}: expected 1 to 65536 for each unit of weight"
        );
        assert_eq!(refused(RingHash::with_points(points)), message);
    }
    assert!(RingHash::with_points(1).is_ok() && RingHash::with_points(65_536).is_ok());

    for (least, most) in [(2, 1), (0, 0), (0, 9), (1, 8_388_609), (u32::MAX, u32::MAX)] {
        let message = format!(
            "invalid ring size {least} to {most}: expected a minimum from 1 to the maximum, and \
             that up to 8388608"
        );
        assert_eq!(refused(EnvoyRingHash::with_ring_size(least, most)), message);
    }
    assert!(EnvoyRingHash::with_ring_size(1, 1).is_ok());
}

#[test]
fn a_load_factor_is_a_number_from_one_on() {
    let bounded = |factor| Keyed::new(Maglev::new(), WholeRequest).bounded_load(factor);
    for (factor, given) in [
        (0.0, "0"),
        (-1.25, "-1.25"),
        (0.999_999_9, "0.9999999"),
        (1_000_000.5, "1000000.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let expected = "expected a number from 1 to 1000000, such as 1.25";
        let message = format!("invalid load factor {given}: {expected}");
        assert_eq!(refused(bounded(factor)), message);
    }
    assert!(bounded(1.0).is_ok() && bounded(1e6).is_ok());
}

#[test]
fn an_unknown_algorithm_is_refused_with_the_names_of_all() {
    let message = refused("Maglev".parse::<HashAlgorithm>());
    assert_eq!(
        message,
        "unknown algorithm \"Maglev\", expected one of maglev, ring-hash, rendezvous, modulo, \
         nginx-hash, nginx-consistent, nginx-ip-hash, libketama, envoy-ring-hash, envoy-maglev"
    );
}

#[test]
fn requests_with_an_empty_key_or_none_go_to_the_fallback() {
    let set = ["a", "b", "c"];
    for &algorithm in HashAlgorithm::ALL {
        let key = key_of(|name: &str| (name != "none").then(|| name.into()));
        let picker = Keyed::new(algorithm, key).fallback(RoundRobin::starting_at(0));
        let table = picker.prepare(&Update::new(&set, &set)).expect("a table");
        let ask = |picker: &dyn Picker<str>, name| picker.pick(&set, name, &mut Context::new());
        let fallback = ["none", "", "none", ""].map(|name| ask(&picker, name));
        assert_eq!(
            fallback,
            [Some(0), Some(1), Some(2), Some(0)],
            "{algorithm}"
        );
        // The table goes on where the picker that it was made from has stopped.
        let fallback = ["", "none"].map(|name| ask(&*table, name));
        assert_eq!(fallback, [Some(1), Some(2)], "{algorithm}");
        let own = ask(&picker, "key");
        assert!(own.is_some() && own == ask(&*table, "key"), "{algorithm}");
    }
}

#[test]
fn long_and_binary_keys_are_keys() {
    let set = set(&[1; 5]);
    let set: &dyn BackendSet = &set;
    let long = vec![b'x'; 1 << 16];
    for &algorithm in HashAlgorithm::ALL {
        let picker = Keyed::new(algorithm, WholeRequest);
        for key in [&long[..], &[0], &[0xff, 0xfe, 0x00], b"\r\n"] {
            let pick = || Picker::<[u8]>::pick(&picker, set, key, &mut Context::new());
            assert!(pick().is_some() && pick() == pick(), "{algorithm}");
        }
        let number = Picker::<u64>::pick(&picker, set, &7, &mut Context::new());
        assert!(number.is_some(), "{algorithm}");
    }
}

/// Whoever is named like a point is at it.
#[test]
fn a_key_that_is_at_a_point_of_a_ring_belongs_to_it() {
    let set = set(&[1; 20]);
    for (algorithm, point) in [
        (HashAlgorithm::NginxConsistent, "10.0.0.7\08080\0\0\0\0"),
        (HashAlgorithm::Libketama, "10.0.0.7:8080-0"),
        (HashAlgorithm::EnvoyRingHash, "10.0.0.7:8080_0"),
    ] {
        let ring = prepared(&small(algorithm, None), &set);
        assert_eq!(pick(&ring, &set, point), Some(7), "{algorithm}");
    }
}
