//! Where our own tables put keys is a promise: programs of different versions agree. A change of
//! what is recorded here is a new major version.

use evenkeel::picker::Selector;
use evenkeel::picker::hash::{Maglev, Modulo, Rendezvous, RingHash};

use crate::setup::{TextPicker, id, keyed, keys, places, pool};

/// Asserts where the first 32 keys go: among ten backends of weights 1, 2 and 3; while only two of
/// them are left; and while only three of three hundred are left.
fn assert_places(picker: &TextPicker, expected: [&str; 3]) {
    let all: Vec<_> = (0..10).collect();
    let seen = [
        seen(picker, 10, &all),
        seen(picker, 10, &[4, 7]),
        seen(picker, 300, &[41, 152, 263]),
    ];
    assert_eq!(seen, expected);
}

/// The last digit of the backend of each key.
fn seen(picker: &TextPicker, backends: usize, left: &[usize]) -> String {
    let weights: Vec<_> = (0..backends).map(|at| 1 + at as u32 % 3).collect();
    let pool = pool(&weights);
    let selector = Selector::new(pool.clone(), TextPicker::clone(picker));
    pool.edit(|edit| {
        for at in (0..backends).filter(|at| !left.contains(at)) {
            edit.drain(&id(at));
        }
    });
    let digit = |at: usize| char::from(b'0' + (at % 10) as u8);
    places(&selector, &keys(32))
        .into_iter()
        .map(digit)
        .collect()
}

#[test]
fn maglev_puts_keys_where_it_always_has() {
    let expected = [
        "08345729615751452138848145598416",
        "77744777474774444477747444774477",
        "13132131123322322113123231231313",
    ];
    assert_places(&keyed(Maglev::new(), None), expected);
}

#[test]
fn ring_hash_puts_keys_where_it_always_has() {
    let expected = [
        "81484088705829551882122526557619",
        "44474477744477777447447447777747",
        "11233223232133113113311313233311",
    ];
    assert_places(&keyed(RingHash::new(), None), expected);
    let of_few_points = [
        "71275425522728222272542510855124",
        "77474477444744444474744774747744",
        "12223211331222332312231133131232",
    ];
    assert_places(
        &keyed(RingHash::with_points(1).unwrap(), None),
        of_few_points,
    );
}

#[test]
fn rendezvous_puts_keys_where_it_always_has() {
    let expected = [
        "81817828891843114485128324254127",
        "44747747474447774444447774444747",
        "13132332113323323123223123233113",
    ];
    assert_places(&keyed(Rendezvous::new(), None), expected);
}

#[test]
fn modulo_puts_keys_where_it_always_has() {
    let expected = [
        "30572384911157224056815575512903",
        "47477474474477474777774477447477",
        "12133113313323323121223133313123",
    ];
    assert_places(&keyed(Modulo::new(), None), expected);
}
