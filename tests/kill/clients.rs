//! What the clients say of answers of every kind. Needs no servers.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::client::within;
use super::load::{Client, Outcome};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n";

/// What a client says of answers that its proxy gives, each followed by the end of its connection.
async fn outcomes<const N: usize>(answers: [String; N]) -> [Outcome; N] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let mut client = Client::new(&address);
    let mut outcomes = [const { Outcome::Whole }; N];
    for (outcome, answer) in outcomes.iter_mut().zip(answers) {
        let answering = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut vec![0; 4096]).await.expect("a request");
            let written = stream.write_all(answer.as_bytes()).await;
            written.expect("the client reads");
        };
        let asked = async { tokio::join!(client.ask(), answering) };
        *outcome = within("an outcome", asked).await.0;
    }
    outcomes
}

#[tokio::test]
async fn a_whole_page_is_no_failure_and_the_closed_connection_is_replaced() {
    let page = || format!("{HEAD}{}", "b".repeat(3000));
    let outcomes = outcomes([page(), page()]).await;
    assert_eq!(outcomes, [Outcome::Whole, Outcome::Whole]);
}

#[tokio::test]
async fn statuses_resets_and_other_pages_are_failures() {
    let bad_gateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n";
    let outcomes = outcomes([
        format!("{bad_gateway}no"),
        format!("{}{}", HEAD.replace("200 OK", "500 Oops"), "b".repeat(3000)),
        format!("{bad_gateway}n"),
        String::new(),
        HEAD[..20].to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nbb".to_owned(),
        format!("{HEAD}{}", "d".repeat(3000)),
    ])
    .await;
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn half_a_page_is_cut_after_the_head() {
    let outcomes = outcomes([HEAD.to_owned(), format!("{HEAD}{}", "b".repeat(2999))]).await;
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Cut(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    drop(listener);
    let outcome = Client::new(&address).ask().await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_in_time_is_a_failure() {
    // The system accepts for it.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let outcome = Client::new(&address).ask().await;
    assert_eq!(outcome, Outcome::Failed("no answer in time".to_owned()));
}
