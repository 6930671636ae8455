//! Headers, cookies, queries, paths, sites, and lists of them.

use evenkeel::http::key;
use evenkeel::picker::hash::Key;
use http::{Method, Request};

use crate::{is, of, request, request_of_bytes};

#[test]
fn a_header_counts_whatever_the_case_of_its_name_and_the_first_of_several() {
    let key = key::header("X-User").unwrap();
    assert_eq!(of(&key, &request("/", &[("x-user", "Ann")])), is("Ann"));
    let two = request("/", &[("x-user", "ann"), ("x-user", "ben")]);
    assert_eq!(of(&key, &two), is("ann"));
    assert_eq!(of(&key, &request("/", &[("x-users", "ann")])), None);
}

#[test]
fn a_cookie_counts_among_others_in_any_header_without_its_quotes() {
    let key = key::cookie("id").unwrap();
    for (lines, expected) in [
        (&["id=7"][..], is("7")),
        (&["a=1; id=7; b=2"], is("7")),
        (&["a=1", "b=2;id=\"7\""], is("7")),
        (&["id=; id=7; id=8"], is("7")),
        (&["ID=1; xid=2; id2=3; id"], None),
        (&["a=id=7"], None),
        (&["id==7="], is("=7=")),
        (&[""], None),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        assert_eq!(of(&key, &request("/", &lines)), expected, "{lines:?}");
    }
}

#[test]
fn a_parameter_of_the_query_counts_as_it_stands_and_the_first_that_is_not_empty() {
    let key = key::query("user").unwrap();
    for (uri, expected) in [
        ("/?user=7", is("7")),
        ("/user=1?page=2&user=7&x", is("7")),
        ("/?user=&user=7&user=8", is("7")),
        ("/?user=a%20b+c", is("a%20b+c")),
        ("/?user=a=b", is("a=b")),
        ("/?user", None),
        ("/?users=1&USER=2&xuser=3", None),
        ("/?", None),
        ("/", None),
    ] {
        assert_eq!(of(&key, &request(uri, &[])), expected, "{uri}");
    }
}

#[test]
fn a_path_counts_whole_or_its_first_segments_or_bytes() {
    let whole = key::path();
    let two = key::path().segments(2).unwrap();
    let five = key::path().length(5).unwrap();
    let both = key::path().segments(1).unwrap().length(2).unwrap();
    for (uri, expected) in [
        ("/abc/d/ef?x=/y/z", ["/abc/d/ef", "/abc/d", "/abc/", "/a"]),
        ("/abc/d", ["/abc/d", "/abc/d", "/abc/", "/a"]),
        ("/abc/", ["/abc/", "/abc/", "/abc/", "/a"]),
        ("/", ["/", "/", "/", "/"]),
        ("/%41/b/", ["/%41/b/", "/%41/b", "/%41/", "/%"]),
        ("http://site:80", ["/", "/", "/", "/"]),
        ("http://site/a/b/c", ["/a/b/c", "/a/b", "/a/b/", "/a"]),
    ] {
        let request = request(uri, &[]);
        let keys = [&whole, &two, &five, &both].map(|key| of(key, &request).unwrap());
        assert_eq!(keys, expected, "{uri}");
    }
}

#[test]
fn a_uri_counts_with_its_query_and_without_its_site() {
    for (uri, expected) in [
        ("/a/b?c=d", "/a/b?c=d"),
        ("http://site:80/a?b", "/a?b"),
        ("*", "*"),
    ] {
        assert_eq!(of(&key::uri(), &request(uri, &[])), is(expected), "{uri}");
    }
}

#[test]
fn a_site_counts_in_lower_case_without_its_port_and_that_of_the_uri_first() {
    for (uri, header, expected) in [
        ("/", Some("Shop.Example:8080"), is("shop.example")),
        ("/", Some("shop.example"), is("shop.example")),
        ("/", Some("[2001:DB8::1]:80"), is("[2001:db8::1]")),
        ("/", Some("[::1]"), is("[::1]")),
        (
            "http://API.example:81/",
            Some("shop.example"),
            is("api.example"),
        ),
        ("http://u:p@api.example/", None, is("api.example")),
        ("http://[::1]:80/", None, is("[::1]")),
        ("/", None, None),
    ] {
        let headers: Vec<_> = header.map(|host| ("host", host)).into_iter().collect();
        let request = request(uri, &headers);
        assert_eq!(of(&key::host(), &request), expected, "{uri} {header:?}");
    }
}

#[test]
fn a_request_that_is_only_an_authority_has_no_path() {
    let mut connect = request("site:443", &[]);
    *connect.method_mut() = Method::CONNECT;
    let path = key::path().segments(3).unwrap().length(4).unwrap();
    assert_eq!(of(&(path, key::uri(), key::host()), &connect), is("site"));
}

type Boxed = Box<dyn Key<Request<()>>>;

#[test]
fn of_a_list_of_keys_the_first_that_is_present_and_not_empty_counts() {
    let header = || key::header("x-user").unwrap();
    let cookie = || key::cookie("user").unwrap();
    let query = || key::query("user").unwrap();
    let tuple = (header(), (cookie(), query()), key::host());
    let list: Vec<Boxed> = vec![
        Box::new(header()),
        Box::new(cookie()),
        Box::new(vec![query()]),
        Box::new(key::host()),
    ];
    let site = ("host", "site");
    for (uri, headers, expected) in [
        (
            "/?user=q",
            &[("x-user", "h"), ("cookie", "user=c"), site][..],
            is("h"),
        ),
        (
            "/?user=q",
            &[("x-user", ""), ("cookie", "user=c"), site],
            is("c"),
        ),
        (
            "/?user=q",
            &[("x-user", ""), ("cookie", "user=\"\""), site],
            is("q"),
        ),
        ("/?user=", &[("cookie", "users=c"), site], is("site")),
        ("/", &[], None),
    ] {
        let request = request(uri, headers);
        assert_eq!(of(&tuple, &request), expected, "{headers:?}");
        assert_eq!(of(&list, &request), expected, "{headers:?}");
    }
    assert_eq!(of(&Vec::<Boxed>::new(), &request("/", &[site])), None);
}

#[test]
fn bytes_that_are_no_text_are_a_key_as_they_are() {
    let bytes = [0xff, 0xfe, b'=', 0x80];
    let cookie = [b"id=".as_slice(), &bytes].concat();
    let headers = [
        ("x-user", &bytes[..]),
        ("cookie", &cookie),
        ("host", &bytes),
    ];
    let request = request_of_bytes("/", headers);
    let expected = is(r"\xff\xfe=\x80");
    assert_eq!(of(&key::header("x-user").unwrap(), &request), expected);
    assert_eq!(of(&key::cookie("id").unwrap(), &request), expected);
    assert_eq!(of(&key::host(), &request), expected);
}

#[test]
fn a_key_that_cannot_be_made_is_refused_with_the_reason() {
    fn message<K>(made: Result<K, evenkeel::InvalidSetting>) -> String {
        made.err().expect("it is invalid").to_string()
    }
    for name in ["", "x user", "x:y", "ä"] {
        let expected = "expected a token, such as x-user";
        let error = message(key::header(name));
        assert_eq!(error, format!("invalid header name {name:?}: {expected}"));
    }
    for name in ["", "a b", "a=b", "a;b", "ä", "\"a\""] {
        let expected = "expected a token, such as session";
        let error = message(key::cookie(name));
        assert_eq!(error, format!("invalid cookie name {name:?}: {expected}"));
    }
    for name in ["", "a b", "a=b", "a&b", "a#b", "ä", "\n"] {
        let expected = "expected a name as it stands in a query, such as user";
        let error = message(key::query(name));
        assert_eq!(
            error,
            format!("invalid parameter name {name:?}: {expected}")
        );
    }
    let none = message(key::path().segments(0));
    assert_eq!(none, "invalid number of segments 0: expected 1 or more");
    let none = message(key::path().length(0));
    assert_eq!(none, "invalid length 0: expected 1 or more bytes");
}
