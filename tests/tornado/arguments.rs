//! The example's command line. Needs no server.

use evenkeel::picker::Algorithm;
use evenkeel::picker::hash::HashAlgorithm;

use super::example::run;

fn complaint(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("expected "), "{said}");
    said
}

#[test]
fn bad_arguments_are_refused_in_one_line_that_says_what_is_expected() {
    for (args, wrong) in [
        (&["--port"][..], "'--port'"),
        (&["-p"], "'-p'"),
        (&["--listen"], "--listen"),
        (&["--listen", "8080", "127.0.0.1:1"], "\"8080\""),
        (&["--picker", "fastest", "127.0.0.1:1"], "\"fastest\""),
        (&["--picker", "random"], "no backend"),
        (&["--key", "header:a b", "127.0.0.1:1"], "\"a b\""),
        (&["--key", "user", "127.0.0.1:1"], "\"user\""),
        (&["--key", "path", "127.0.0.1:1"], "least-requests has none"),
        (&["127.0.0.1:1/path"], "\"127.0.0.1:1/path\""),
        (&["127.0.0.1:70000"], "\"127.0.0.1:70000\""),
        (&["127.0.0.1:1=heavy"], "\"heavy\""),
        (&["127.0.0.1:1=-1"], "\"-1\""),
        (&["https://127.0.0.1:1"], "TLS"),
        (&["--status", "here", "127.0.0.1:1"], "\"here\""),
        (&["--config", "a.toml", "127.0.0.1:1"], "--config"),
        (&["--backend-ca"], "--backend-ca"),
        (&["127.0.0.1:1", "http://127.0.0.1:1"], "second"),
    ] {
        let said = complaint(args);
        assert!(said.contains(wrong), "{args:?}: {said}");
    }
}

#[test]
fn an_unknown_picker_is_answered_with_all_that_are_known() {
    let said = complaint(&["--picker", "fastest", "127.0.0.1:1"]);
    let names = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
    let keyed = HashAlgorithm::ALL.iter().map(|algorithm| algorithm.name());
    for name in names.chain(keyed) {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn help_is_printed_where_it_can_be_piped() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).expect("text");
    assert!(help.contains("Usage: reverse_proxy"), "{help}");
}
