//! What keys and values say of backends.

use std::collections::HashMap;

use evenkeel::Backend;
use evenkeel::config::read_backend;
use evenkeel::discover::Update;
use evenkeel::http::Address;

/// A key with its value, or without one if it was deleted.
pub(crate) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// All keys of a prefix.
pub(crate) fn all<'a>(
    prefix: &[u8],
    entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Update<Address> {
    let none = std::iter::empty::<Backend<Address>>();
    entries.fold(Update::all(none), |update, (key, value)| {
        add(update, prefix, (key, Some(value)))
    })
}

/// Changes, in their order. Of each key the last one counts.
pub(crate) fn changes(prefix: &[u8], entries: &[Entry<'_>]) -> Update<Address> {
    let last: HashMap<&[u8], usize> = entries
        .iter()
        .enumerate()
        .map(|(at, &(key, _))| (key, at))
        .collect();
    let counts = |&(at, (key, _)): &(usize, &Entry<'_>)| last.get(key) == Some(&at);
    let entries = entries.iter().enumerate().filter(counts);
    entries.fold(Update::changes(), |update, (_, &entry)| {
        add(update, prefix, entry)
    })
}

fn add(update: Update<Address>, prefix: &[u8], (key, value): Entry<'_>) -> Update<Address> {
    let id = key.strip_prefix(prefix).unwrap_or(key);
    let Ok(id) = std::str::from_utf8(id) else {
        let lossy = String::from_utf8_lossy(id).into_owned();
        return match value {
            Some(_) => update.skip(lossy, "its key is not UTF-8"),
            None => update.remove(lossy),
        };
    };
    match value.map(|value| read_backend(Some(id), value)) {
        Some(Ok(backend)) => update.put(backend),
        Some(Err(error)) => update.skip(id, error),
        None => update.remove(id),
    }
}

/// The first key after all that begin with a prefix; `\0`, which is after all keys, if there is
/// none.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use evenkeel::Pool;
    use evenkeel::discover::{Follow, once};
    use proptest::prelude::*;

    use super::*;

    fn pool(updates: Vec<Update<Address>>) -> (Pool<Address>, Vec<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let pool = Pool::new();
        let mut events = pool.events();
        let updates = futures_util::stream::iter(updates.into_iter().map(Ok));
        runtime.block_on(Follow::new(once("etcd", updates)).feed(&pool));
        let skipped = std::iter::from_fn(|| events.try_next())
            .map(|event| event.to_string())
            .filter(|event| event.contains("skipped"));
        (pool, skipped.collect())
    }

    #[test]
    fn good_entries_are_taken_and_bad_ones_named() {
        let entries: [(&[u8], &[u8]); 8] = [
            (b"/api/a", b"10.0.0.1:80"),
            (
                b"/api/b",
                br#"{"address": "10.0.0.2:80", "weight": 3, "new field": []}"#,
            ),
            (b"/api/c", b"\xff\xfe"),
            (b"/api/d", br#"{"address": "10.0.0.4:80", "weight": -1}"#),
            (b"/api/e", b"10.0.0.5:0"),
            (b"/api/f", br#"{"weight": 1}"#),
            (b"/api/\xff", b"10.0.0.6:80"),
            (b"/api/", b"10.0.0.7:80"),
        ];
        let (pool, skipped) = pool(vec![all(b"/api/", entries.into_iter())]);
        assert_eq!(pool.len(), 2);
        assert_eq!(pool.get("b").unwrap().weight(), 3);
        assert_eq!(
            skipped,
            [
                "etcd:  skipped: its id is empty",
                "etcd: c skipped: byte 0 is not UTF-8",
                "etcd: d skipped: weight: invalid value: integer `-1`, expected u32",
                "etcd: e skipped: invalid address \"10.0.0.5:0\": expected [http://|https://]HOST[:PORT], with a port from 1 to 65535",
                "etcd: f skipped: missing field `address`",
                "etcd: \u{fffd} skipped: its key is not UTF-8",
            ]
        );
    }

    #[test]
    fn a_bad_value_of_a_known_key_changes_nothing() {
        let first: [(&[u8], &[u8]); 1] = [(b"/api/a", b"10.0.0.1:80")];
        let (pool, skipped) = pool(vec![
            all(b"/api/", first.into_iter()),
            changes(b"/api/", &[(b"/api/a", Some(b"{"))]),
        ]);
        assert_eq!(pool.value("a").unwrap().authority(), "10.0.0.1:80");
        assert_eq!(skipped.len(), 1);
    }

    #[test]
    fn of_several_changes_of_a_key_the_last_counts() {
        let (pool, skipped) = pool(vec![changes(
            b"/api/",
            &[
                (b"/api/a", Some(b"bad value")),
                (b"/api/b", Some(b"10.0.0.2:80")),
                (b"/api/a", Some(b"10.0.0.1:80")),
                (b"/api/b", None),
            ],
        )]);
        assert!(pool.get("a").is_some() && pool.get("b").is_none());
        assert!(skipped.is_empty());
    }

    #[test]
    fn the_end_of_a_prefix_is_after_all_that_begin_with_it() {
        assert_eq!(end_of(b"/api/"), b"/api0");
        assert_eq!(end_of(b"a\xff\xff"), b"b");
        assert_eq!(end_of(b"\xff"), b"\0");
        assert_eq!(end_of(b""), b"\0");
    }

    proptest! {
        #[test]
        fn no_bytes_do_any_harm(
            entries in prop::collection::vec((any::<Vec<u8>>(), prop::option::of(any::<Vec<u8>>())), 0..20),
            json in "\\{(\"address\": ?\"[0-9.:]{0,15}\"|\"weight\": ?-?[0-9]{1,12}|, ?|\"x\": ?\\[\\])*\\}",
        ) {
            let mut borrowed: Vec<Entry<'_>> = entries
                .iter()
                .map(|(key, value)| (&key[..], value.as_deref()))
                .collect();
            borrowed.push((b"json", Some(json.as_bytes())));
            let _update = changes(b"", &borrowed);
            let puts = borrowed.iter().filter_map(|&(key, value)| Some((key, value?)));
            let _update = all(b"/", puts);
        }
    }
}
