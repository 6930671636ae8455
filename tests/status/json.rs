use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::health::{Ejection, Health};
use evenkeel::observe::status::Status;
use evenkeel::set::Rules;
use evenkeel::{Backend, Pool};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::setup::{HOSTILE, get, pool, requests, start};

async fn json(status: &Status) -> Value {
    serde_json::from_str(&get(status, "/status.json").await).expect("it is JSON")
}

#[tokio::test(start_paused = true)]
async fn each_backend_is_there_with_all_that_is_known_of_it() {
    let pool = pool(["a", "b"]);
    let c = Backend::new("c", ()).weight(3).priority(1).zone("z");
    pool.insert(c.max_in_flight(7).metadata("rack", "r1"));
    let status = Status::new().pool("shop", &pool);
    requests(&pool, "a", 3, Outcome::Success);
    requests(&pool, "a", 2, Outcome::Failure(Failure::Body));
    requests(&pool, "b", 1, Outcome::Rejected);
    requests(&pool, "b", 1, Outcome::Cancelled);
    let _running = start(&pool, "a");
    pool.drain("b");
    sleep(Duration::from_secs(2)).await;

    let json = json(&status).await;
    assert_eq!(json["pools"].as_array().map(Vec::len), Some(1));
    let shop = &json["pools"][0];
    assert_eq!(shop["name"], "shop");
    for (field, value) in [
        ("members", json!(3)),
        ("healthy", json!(2)),
        ("in_panic", json!(false)),
        ("watched", json!(false)),
        ("records_traffic", json!(true)),
        ("in_flight", json!(1)),
        ("queued", json!(0)),
        ("left_out", json!(0)),
        ("states", json!({"healthy": 2, "draining": 1})),
        (
            "requests",
            json!({"success": 3, "failure": 2, "rejected": 1, "cancelled": 1}),
        ),
    ] {
        assert_eq!(shop[field], value, "{field}");
    }
    assert_eq!(shop["tiers"][1]["members"], 1);
    let [a, b, c] = [0, 1, 2].map(|at| &shop["backends"][at]);
    assert_eq!(a["failures"]["body"], 2);
    assert_eq!(a["failures"]["connect"], 0);
    assert_eq!(a["latencies"]["samples"], 3);
    assert_eq!(a["eligible"], true);
    assert_eq!(
        (&b["state"], &b["share"]),
        (&json!("draining"), &json!(0.0))
    );
    assert_eq!(b["since_seconds"], 2.0);
    for (field, value) in [
        ("id", json!("c")),
        ("weight", json!(3)),
        ("priority", json!(1)),
        ("zone", json!("z")),
        ("max_in_flight", json!(7)),
        ("metadata", json!({"rack": "r1"})),
        ("until_seconds", json!(null)),
        ("why", json!(null)),
    ] {
        assert_eq!(c[field], value, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ejection_counts_down_and_says_why() {
    let pool = pool(["a", "b", "c"]);
    let ejection = Ejection::none().failures_in_a_row(3).unwrap();
    let ejection = ejection.base_time(Duration::from_secs(20)).unwrap();
    let ejection = ejection.jitter(0.0).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let status = Status::new().pool("shop", &pool);
    requests(&pool, "a", 3, Outcome::Failure(Failure::Connect));
    sleep(Duration::from_secs(5)).await;

    let shop = &json(&status).await["pools"][0];
    assert_eq!(shop["watched"], true);
    let a = &shop["backends"][0];
    assert_eq!(a["state"], "ejected");
    assert_eq!(a["why"], "3 failures in a row");
    let left = a["until_seconds"].as_f64().expect("a number");
    assert!((14.9..=15.1).contains(&left), "{left}");
}

#[tokio::test]
async fn panic_is_said_of_the_pool_and_of_its_tier() {
    let pool = pool(["a", "b"]);
    pool.set_rules(Rules::new().panic_threshold(1.0).unwrap());
    let _watching = Health::new()
        .ejection(Ejection::none().failures_in_a_row(1).unwrap())
        .spawn(&pool);
    let status = Status::new().pool("shop", &pool);
    requests(&pool, "a", 1, Outcome::Failure(Failure::Connect));
    while pool.status().ejected() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let shop = &json(&status).await["pools"][0];
    assert_eq!(shop["in_panic"], true);
    assert_eq!(shop["tiers"][0]["in_panic"], true);
}

#[tokio::test]
async fn no_id_breaks_the_text() {
    let pool = pool(HOSTILE);
    let status = Status::new().pool("\"\\\n", &pool);
    let json = json(&status).await;
    let pools = &json["pools"][0];
    assert_eq!(pools["name"], "\"\\\n");
    for (at, id) in HOSTILE.iter().enumerate() {
        assert_eq!(&pools["backends"][at]["id"], id);
    }
}

#[tokio::test]
async fn of_too_many_those_that_are_not_well_are_shown_first_and_sums_are_of_all() {
    let ids: Vec<String> = (0..50).map(|id| id.to_string()).collect();
    let pool = pool(ids.iter().map(String::as_str));
    let status = Status::new().pool("shop", &pool).max_backends(3);
    requests(&pool, "30", 5, Outcome::Success);
    pool.drain("49");
    pool.force_down("20");
    let shop = &json(&status).await["pools"][0];
    assert_eq!(
        (&shop["members"], &shop["left_out"]),
        (&json!(50), &json!(47))
    );
    assert_eq!(shop["requests"]["success"], 5);
    let shown = shop["backends"].as_array().expect("a list");
    let shown: Vec<&str> = shown
        .iter()
        .filter_map(|backend| backend["id"].as_str())
        .collect();
    assert_eq!(shown, ["20", "49", "0"]);
}

#[tokio::test]
async fn pools_are_shown_in_their_order_until_they_are_dropped() {
    let first = pool(["a"]);
    let second: Pool<String> = Pool::new();
    let replaced = pool(["x"]);
    let status = Status::new()
        .pool("second", &replaced)
        .pool("first", &first)
        .pool("second", &second);
    let names = async || {
        let json = json(&status).await;
        let pools = json["pools"].as_array().expect("a list").clone();
        let names = pools
            .iter()
            .map(|pool| pool["name"].as_str().map(str::to_owned));
        names.collect::<Option<Vec<_>>>().expect("names")
    };
    assert_eq!(names().await, ["first", "second"]);
    assert_eq!(json(&status).await["pools"][1]["members"], 0);
    drop(first);
    assert_eq!(names().await, ["second"]);
}

#[test]
fn a_status_is_serialised_without_the_page_too() {
    let pool = pool(["a"]);
    let json = serde_json::to_value(pool.status()).expect("it is plain data");
    assert_eq!(json["backends"][0]["id"], "a");
    assert_eq!(json["backends"][0]["latencies"], Value::Null);
    assert!(json.get("name").is_none());
    let info = serde_json::to_value(&pool.list()[0]).expect("it is plain data");
    assert_eq!(info["state"], "healthy");
}
