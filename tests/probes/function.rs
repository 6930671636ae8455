//! Functions as probes, and types with a probe of their own.

use std::io;

use evenkeel::health::{Answer, Probe, Target};
use tower::BoxError;

use crate::setup::{HEALTHY, ask, unhealthy};

async fn even(target: Target<u32>) -> io::Result<()> {
    match target.value() % 2 {
        0 => Ok(()),
        _ => Err(io::Error::other("odd")),
    }
}

struct Below(u32);

impl Probe<u32> for Below {
    async fn probe(&self, target: Target<u32>) -> Result<Answer, BoxError> {
        if target.into_value() < self.0 {
            Ok(Answer::Degraded)
        } else {
            Err(format!("expected less than {}", self.0).into())
        }
    }
}

#[tokio::test]
async fn a_function_is_a_probe_and_unit_is_healthy() {
    assert_eq!(ask(&even, 2).await, HEALTHY);
    assert_eq!(ask(&even, 3).await, unhealthy("odd"));
}

#[tokio::test]
async fn a_closure_may_answer_that_a_backend_is_degraded() {
    let probe = |_: Target<()>| async { Ok::<_, BoxError>(Answer::Degraded) };
    assert_eq!(ask(&probe, ()).await, Ok(Answer::Degraded));
}

#[tokio::test]
async fn a_closure_may_keep_things_of_its_own_and_see_the_id() {
    let known = ["a".to_owned()];
    let probe = move |target: Target<()>| {
        let known = known.iter().any(|id| id == target.id());
        async move { known.then_some(()).ok_or("who?") }
    };
    assert_eq!(ask(&probe, ()).await, HEALTHY);
    let reason = probe.probe(Target::new("b", ())).await.unwrap_err();
    assert_eq!(reason.to_string(), "who?");
}

#[tokio::test]
async fn a_type_can_be_a_probe() {
    assert_eq!(ask(&Below(3), 2).await, Ok(Answer::Degraded));
    assert_eq!(ask(&Below(3), 3).await, unhealthy("expected less than 3"));
}
