//! `examples/pick.rs` as those who run it see it: what is on standard output and standard error,
//! and the exit code.

mod arguments;
mod run;

use std::io::Read;
use std::process::{Command, Stdio};
use std::{env, fs, process};

use run::{example, names, pick, pick_with_input};

#[test]
fn weighted_round_robin_prints_the_sequence_of_nginx() {
    let run =
        pick("--picker weighted-round-robin --backend a=5 --backend b=1 --backend c=1 --count 7");
    assert_eq!(run.stdout, "1\ta\n2\ta\n3\tb\n4\ta\n5\tc\n6\ta\n7\ta\n");
    assert_eq!(run.code, Some(0));
}

#[test]
fn weighted_round_robin_repeats_its_cycle() {
    let run =
        pick("--picker weighted-round-robin --backend a=5 --backend b=1 --backend c=1 --count 14");
    let ids: Vec<&str> = run.picks().into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.concat(), "aabacaaaabacaa");
}

#[test]
fn round_robin_begins_with_the_first_backend() {
    let run = pick("--picker round-robin --backend a --backend b --backend c --count 4");
    assert_eq!(run.stdout, "1\ta\n2\tb\n3\tc\n4\ta\n");
}

#[test]
fn a_backend_that_is_down_is_passed_by() {
    let run = pick("--picker round-robin --backend a --backend b --backend c --down b --count 4");
    assert_eq!(run.stdout, "1\ta\n2\tc\n3\ta\n4\tc\n");
}

#[test]
fn several_backends_can_be_down_and_named_before_they_are_given() {
    let run = pick(
        "--down b --picker round-robin --down a --backend a --backend b --backend c --count 2",
    );
    assert_eq!(run.stdout, "1\tc\n2\tc\n");
}

#[test]
fn the_share_of_one_that_is_down_goes_to_all_others_by_weight() {
    let run = pick(
        "--picker weighted-round-robin --backend a=2 --backend b=7 --backend c=1 --down b --count 300",
    );
    assert_eq!(run.counts(), [("a", 200), ("c", 100)].into());
}

#[test]
fn a_backend_of_weight_zero_is_never_picked_by_any_picker() {
    for algorithm in names() {
        let run = pick(&format!(
            "--picker {algorithm} --backend a --backend b=0 --backend c --count 200"
        ));
        assert_eq!(run.picks().len(), 200, "{algorithm}");
        assert!(!run.counts().contains_key("b"), "{algorithm}");
    }
}

#[test]
fn every_picker_can_be_tried_and_only_picks_what_is_up() {
    for algorithm in names() {
        let run = pick(&format!(
            "--picker {algorithm} --backend a --backend b=3 --backend c --down a --count 500"
        ));
        assert_eq!(run.code, Some(0), "{algorithm}: {}", run.stderr);
        let numbers: Vec<String> = (1..=500).map(|number: u32| number.to_string()).collect();
        let printed: Vec<&str> = run.picks().into_iter().map(|(number, _)| number).collect();
        assert_eq!(printed, numbers, "{algorithm}");
        let is_up = |id: &&str| ["b", "c"].contains(id);
        assert!(run.counts().keys().all(is_up), "{algorithm}");
    }
}

#[test]
fn an_id_may_have_colons_and_equals_signs() {
    let run = pick(
        "--picker round-robin --backend 10.0.0.1:80=3 --backend [::1]:80 --backend a=b=1 --count 3",
    );
    assert_eq!(run.stdout, "1\t10.0.0.1:80\n2\t[::1]:80\n3\ta=b\n");
}

#[test]
fn an_id_that_is_given_twice_is_one_backend_and_the_last_one_counts() {
    let run =
        pick("--picker weighted-round-robin --backend a=7 --backend b=1 --backend a=1 --count 4");
    assert_eq!(run.stdout, "1\ta\n2\tb\n3\ta\n4\tb\n");
}

#[test]
fn keys_are_read_from_standard_input() {
    let args = "--picker round-robin --backend a --backend b --keys -";
    let run = pick_with_input(args.split(' '), "/cart\n/user 7\n\n/last\tone");
    assert_eq!(run.stdout, "/cart\ta\n/user 7\tb\n\ta\n/last\tone\tb\n");
    assert_eq!(run.code, Some(0));
}

#[test]
fn keys_are_read_from_a_file() {
    let file = env::temp_dir().join(format!("evenkeel-pick-{}", process::id()));
    fs::write(&file, "one\ntwo\r\n").expect("a temporary file");
    let mut args = vec!["--picker", "ordered", "--backend", "a", "--keys"];
    args.push(file.to_str().expect("UTF-8"));
    let run = pick_with_input(args, "");
    fs::remove_file(&file).expect("the temporary file");
    assert_eq!(run.stdout, "one\ta\ntwo\ta\n");
}

#[test]
fn keys_go_where_the_other_load_balancer_sends_them() {
    // Recorded from nginx 1.22.1; see tests/hashing/vectors.
    let backends = "--backend 10.0.0.1:8080 --backend 10.0.0.2:8080 --backend 10.0.0.3:8080";
    for picker in [
        "nginx-hash",
        "nginx-consistent",
        "nginx-ip-hash",
        "libketama",
        "envoy-ring-hash",
        "envoy-maglev",
    ] {
        let file = format!(
            "{}/tests/hashing/vectors/{picker}.a.tsv",
            env!("CARGO_MANIFEST_DIR")
        );
        let recorded = fs::read_to_string(file).expect("a recorded file");
        let pairs: String = recorded
            .lines()
            .filter_map(|line| line.strip_prefix("key\t"))
            .flat_map(|pair| [pair, "\n"])
            .collect();
        let keys: String = pairs
            .lines()
            .filter_map(|pair| pair.split('\t').next())
            .flat_map(|key| [key, "\n"])
            .collect();
        let args = format!("--picker {picker} {backends} --keys -");
        let run = pick_with_input(args.split(' '), &keys);
        assert_eq!(run.stdout, pairs, "{picker}");
    }
}

#[test]
fn no_keys_and_a_count_of_zero_are_no_picks() {
    for requests in ["--keys -", "--count 0"] {
        let run = pick(&format!("--picker random --backend a {requests}"));
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(0)), "{requests}");
    }
}

#[test]
fn the_same_seed_gives_the_same_picks_and_another_one_others() {
    for algorithm in names() {
        let run = |seed| {
            let backends = "--backend a --backend b=2 --backend c";
            pick(&format!(
                "--picker {algorithm} {backends} --count 200 --seed {seed}"
            ))
        };
        let first = run(7);
        assert_eq!(first.stderr, "seed: 7\n");
        assert_eq!(first.stdout, run(7).stdout, "{algorithm}");
        if ["random", "weighted-random", "least-requests"].contains(&algorithm) {
            assert_ne!(first.stdout, run(8).stdout, "{algorithm}");
        }
    }
}

#[test]
fn a_run_without_a_seed_tells_the_seed_that_repeats_it() {
    let args = "--picker random --backend a --backend b --count 100";
    let first = pick(args);
    let seed = first
        .stderr
        .strip_prefix("seed: ")
        .expect("a seed")
        .trim_end();
    let second = pick(&format!("{args} --seed {seed}"));
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    // More than any pipe holds, so it cannot all be written before the reader goes.
    let mut child = Command::new(example())
        .args("--picker random --backend a --count 1000000000000".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut stdout = child.stdout.take().expect("piped");
    let mut start = [0; 4];
    stdout.read_exact(&mut start).expect("a pick");
    drop(stdout);
    let output = child.wait_with_output().expect("the example ends");
    assert_eq!(&start, b"1\ta\n");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "only the seed: {stderr}");
}
