//! What is refused at once.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::discover::dns::Dns;

#[track_caller]
fn refused(result: Result<Dns, evenkeel::InvalidSetting>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_value() {
    let name = "expected a DNS name: letters, digits, '-' and '_', divided by dots";
    let labels = "expected a DNS name: labels of 1 to 63 characters, 253 in all";
    refused(Dns::new("", 80), &format!("invalid name \"\": {labels}"));
    refused(Dns::srv("a b"), &format!("invalid name \"a b\": {name}"));
    refused(
        Dns::new("a..b", 80),
        &format!("invalid name \"a..b\": {labels}"),
    );
    let long = "a".repeat(64);
    refused(Dns::srv(&long), &format!("invalid name {long:?}: {labels}"));
    refused(
        Dns::new("api.test", 0),
        "invalid port 0: expected 1 to 65535",
    );
    refused(
        Dns::new("10.0.0.1", 80),
        "invalid name \"10.0.0.1\": expected a name; addresses that are known need no look-up, see `fixed`",
    );
    let dns = || Dns::new("api.test", 80).unwrap();
    refused(
        dns().max_backends(0),
        "invalid maximum of backends 0: expected 1 or more",
    );
    refused(
        dns().timeout(Duration::ZERO),
        "invalid time-out 0ns: expected above zero",
    );
    refused(
        dns().name_server(SocketAddr::from(([127, 0, 0, 1], 0))),
        "invalid name server 127.0.0.1:0: expected an address and a port from 1 to 65535",
    );
    refused(
        dns().ttl_within(Duration::from_secs(2), Duration::from_secs(1)),
        "invalid bounds of the TTL 2s to 1s: expected a minimum above zero and a maximum not below it",
    );
    let longest = dns().ttl_within(Duration::MAX, Duration::MAX).unwrap();
    assert!(longest.timeout(Duration::MAX).is_ok());
}
