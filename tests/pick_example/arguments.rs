//! What is said about arguments that are wrong, or to those who ask for help.

use crate::run::{names, pick, pick_with_input};

#[test]
fn a_bad_argument_is_one_line_that_names_it_and_what_is_expected_with_code_2() {
    const WEIGHT: &str = "expected ID or ID=WEIGHT, with a WEIGHT from 0 to 4294967295";
    const NUMBER: &str = "expected a number from 0 to 18446744073709551615";
    const OPTIONS: &str = "expected --picker, --backend, --down, --count, --keys, --seed or --help";
    let names: Vec<&str> = names().collect();
    let names = format!("expected one of {}", names.join(", "));

    let good = "--picker random --backend a";
    for (args, problem) in [
        (
            String::new(),
            "no --picker, expected --picker NAME".to_owned(),
        ),
        (
            "--picker random --count 1".to_owned(),
            "no --backend, expected at least one --backend ID[=WEIGHT]".to_owned(),
        ),
        (
            good.to_owned(),
            "neither --count nor --keys, expected one of --count N and --keys FILE".to_owned(),
        ),
        (
            format!("{good} --count 1 --keys -"),
            "more than one --count or --keys, expected one of --count N and --keys FILE".to_owned(),
        ),
        (
            "--picker rand --backend a --count 1".to_owned(),
            format!("--picker: unknown algorithm \"rand\", {names}"),
        ),
        (
            format!("{good}=x --count 1"),
            format!("--backend \"a=x\": {WEIGHT}"),
        ),
        (
            format!("{good}= --count 1"),
            format!("--backend \"a=\": {WEIGHT}"),
        ),
        (
            format!("{good}=-1 --count 1"),
            format!("--backend \"a=-1\": {WEIGHT}"),
        ),
        (
            format!("{good}=4294967296 --count 1"),
            format!("--backend \"a=4294967296\": {WEIGHT}"),
        ),
        (
            format!("{good} --backend =3 --count 1"),
            format!("--backend \"=3\": {WEIGHT}"),
        ),
        (
            format!("{good} --down b --count 1"),
            "--down \"b\": no such backend, expected the ID of a --backend".to_owned(),
        ),
        (
            format!("{good} --count ten"),
            format!("--count \"ten\": {NUMBER}"),
        ),
        (
            format!("{good} --count -1"),
            format!("--count \"-1\": {NUMBER}"),
        ),
        (
            format!("{good} --count"),
            format!("--count: no value, {NUMBER}"),
        ),
        (
            format!("{good} --count 1 --seed 1.5"),
            format!("--seed \"1.5\": {NUMBER}"),
        ),
        (
            format!("{good} --counts 1"),
            format!("unknown argument \"--counts\", {OPTIONS}"),
        ),
        (
            format!("{good} -n 1"),
            format!("unknown argument \"-n\", {OPTIONS}"),
        ),
        (
            format!("{good} 1"),
            format!("unknown argument \"1\", {OPTIONS}"),
        ),
    ] {
        let run = pick(&args);
        assert_eq!(run.stderr, format!("error: {problem}\n"), "{args}");
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(2)), "{args}");
    }
}

#[test]
fn a_file_of_keys_that_cannot_be_read_is_a_bad_argument() {
    let directory = env!("CARGO_MANIFEST_DIR");
    let missing = format!("{directory}/no-such-file");
    for path in [directory, &missing] {
        let run = pick_with_input(["--picker", "random", "--backend", "a", "--keys", path], "");
        assert!(
            run.stderr.starts_with(&format!("error: --keys {path:?}: ")),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr
                .ends_with(", expected a file with a key on each line, or - for standard input\n"),
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(2)));
    }
}

#[test]
fn nothing_to_pick_is_an_error_that_says_why_with_code_1() {
    let run = pick("--picker random --backend a --backend b=0 --down a --count 3");
    assert_eq!(
        run.stderr,
        "error: no backend can be picked (a: draining, b: weight 0)\n"
    );
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
}

#[test]
fn help_is_printed_on_standard_output_and_names_every_picker() {
    for args in ["--help", "-h", "--picker random --help"] {
        let run = pick(args);
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)), "{args}");
        for expected in [
            "--picker",
            "--backend",
            "--down",
            "--count",
            "--keys",
            "--seed",
        ] {
            assert!(run.stdout.contains(expected), "{expected}");
        }
        for algorithm in names() {
            let line = format!("\n  {algorithm}\n");
            assert!(run.stdout.contains(&line), "{algorithm}");
        }
    }
}
