//! What a file can say.

use evenkeel::Pool;
use evenkeel::backend::State;
use evenkeel::discover::{Ended, Follow, Format, InvalidFile, Update, once};
use evenkeel::http::Address;
use tokio_stream::StreamExt;

/// A pool that has what an update says.
async fn pool(update: Update<Address>) -> Pool<Address> {
    let pool = Pool::new();
    let updates = tokio_stream::iter([Ok(update)]);
    let ended = Follow::new(once("text", updates)).feed(&pool).await;
    assert!(matches!(ended, Ended::Source));
    pool
}

fn skipped(update: &Update<Address>) -> Vec<(&str, &str)> {
    update.skipped().collect()
}

#[tokio::test]
async fn toml_and_json_say_the_same() {
    let toml = r#"
        [[backend]]
        address = "10.0.0.1:80"

        [[backend]]
        id = "b"
        address = "https://10.0.0.2:8443"
        weight = 3
        priority = 1
        zone = "z"
        hash_key = "h"
        max_in_flight = 7
        server_name = "b.example"
        health = "draining"
        metadata = { rack = "r7" }

        [picker]
        algorithm = "maglev"
    "#;
    let json = r#"{"backend": [{"address": "10.0.0.1:80"}, {"id": "b", "address": "https://10.0.0.2:8443",
        "weight": 3, "priority": 1, "zone": "z", "hash_key": "h", "max_in_flight": 7,
        "server_name": "b.example", "health": "draining", "metadata": {"rack": "r7"}}], "other": 1}"#;
    for (format, text) in [(Format::Toml, toml), (Format::Json, json)] {
        let update = format.read(text.as_bytes()).unwrap();
        assert!(skipped(&update).is_empty());
        let pool = pool(update).await;
        assert_eq!(crate::ids(&pool), ["10.0.0.1:80", "b"]);
        let b = pool.get("b").unwrap();
        assert_eq!((b.weight(), b.priority(), b.zone()), (3, 1, Some("z")));
        assert_eq!((b.hash_key(), b.max_in_flight()), ("h", Some(7)));
        assert_eq!(
            (b.state(), b.metadata("rack")),
            (State::Draining, Some("r7"))
        );
        assert_eq!(pool.value("b").unwrap().server_name(), Some("b.example"));
    }
}

#[tokio::test]
async fn json_can_be_the_list_alone_and_an_entry_an_address() {
    let update = Format::Json
        .read(br#"["10.0.0.1:80", {"address": "10.0.0.2:80"}]"#)
        .unwrap();
    assert_eq!(
        crate::ids(&pool(update).await),
        ["10.0.0.1:80", "10.0.0.2:80"]
    );
    let update = Format::Toml.read(b"backend = [\"10.0.0.1:80\"]").unwrap();
    assert_eq!(crate::ids(&pool(update).await), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn entries_that_are_no_good_are_named_and_hide_none_of_the_others() {
    let text = r#"
        [[backend]]
        id = "bad-weight"
        address = "10.0.0.1:80"
        weight = -1
        [[backend]]
        address = "no address"
        [[backend]]
        weight = 1
        [[backend]]
        address = "10.0.0.2:80"
        [[backend]]
        id = "no-number"
        address = "10.0.0.3:80"
        weight = nan
        [[backend]]
        id = "date"
        address = 2026-01-01
        [[backend]]
        id = "sick"
        address = "10.0.0.4:80"
        health = "sick"
    "#;
    let update = Format::Toml.read(text.as_bytes()).unwrap();
    let skipped = skipped(&update);
    let names: Vec<_> = skipped.iter().map(|(entry, _)| *entry).collect();
    let expected = [
        "bad-weight",
        "no address",
        "backend[2]",
        "no-number",
        "date",
        "sick",
    ];
    assert_eq!(names, expected, "{skipped:?}");
    assert!(skipped[0].1.contains("weight: invalid value: integer `-1`"));
    assert!(skipped[2].1.contains("address"));
    assert!(skipped[5].1.contains("health"));
    assert_eq!(crate::ids(&pool(update).await), ["10.0.0.2:80"]);

    let update = Format::Json
        .read(br#"[1, null, [], "10.0.0.1:80", {}]"#)
        .unwrap();
    assert_eq!(update.skipped().count(), 4);
    assert_eq!(crate::ids(&pool(update).await), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_named_and_the_backend_is_taken() {
    let update = Format::Json
        .read(br#"[{"address": "10.0.0.1:80", "wieght": 3}]"#)
        .unwrap();
    assert_eq!(skipped(&update)[0].0, "10.0.0.1:80: wieght");
    assert_eq!(crate::ids(&pool(update).await), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn of_two_entries_with_one_id_the_last_is_taken_and_the_other_told() {
    let text = br#"[{"id": "a", "address": "10.0.0.1:80"}, {"id": "a", "address": "10.0.0.2:80"}]"#;
    let updates = tokio_stream::iter([Ok(Format::Json.read(text).unwrap())]);
    let updates = updates.chain(tokio_stream::pending());
    let fed = Pool::<Address>::new();
    let _feeding = Follow::new(once("text", updates)).spawn(&fed);
    crate::until_ids(&fed, &["a"]).await;
    assert_eq!(fed.value("a").unwrap().authority(), "10.0.0.2:80");
    assert_eq!(fed.status().sources()[0].skipped(), 1);
}

#[test]
fn what_is_no_list_of_backends_is_an_error() {
    let read = |format: Format, text: &[u8]| format.read(text).unwrap_err();
    for format in [Format::Toml, Format::Json] {
        assert!(matches!(read(format, b""), InvalidFile::Blank));
        assert!(matches!(read(format, b" \n"), InvalidFile::Blank));
        assert!(matches!(
            read(format, b"\xef\xbb\xbf\n"),
            InvalidFile::Blank
        ));
        assert!(matches!(read(format, b"ab\xff"), InvalidFile::NotUtf8(2)));
        assert!(matches!(read(format, b"[[backend"), InvalidFile::Syntax(_)));
    }
    assert!(matches!(
        read(Format::Toml, b"[picker]"),
        InvalidFile::NoList
    ));
    assert!(matches!(
        read(Format::Toml, b"backend = 1"),
        InvalidFile::NoList
    ));
    assert!(matches!(read(Format::Json, b"{}"), InvalidFile::NoList));
    assert!(matches!(read(Format::Json, b"7"), InvalidFile::NoList));
    let deep = "[".repeat(100_000);
    assert!(matches!(
        read(Format::Json, deep.as_bytes()),
        InvalidFile::Syntax(_)
    ));
    let deep = format!("backend = {deep}");
    assert!(matches!(
        read(Format::Toml, deep.as_bytes()),
        InvalidFile::Syntax(_)
    ));
    let error = read(Format::Toml, b"a = 1\n[[backend]]\naddress = ").to_string();
    assert!(
        error.contains("at line 3") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let update = Format::Json.read("\u{feff}[]".as_bytes()).unwrap();
    assert_eq!(update.skipped().count(), 0);
}

#[test]
fn the_extension_says_the_format() {
    for (path, format) in [
        ("a.toml", Some(Format::Toml)),
        ("a.JSON", Some(Format::Json)),
        ("a.yaml", None),
        ("toml", None),
        ("", None),
    ] {
        assert_eq!(Format::of(path), format, "{path}");
    }
}
