//! A browser without a screen, driven over `WebDriver`.

use std::env;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Nothing takes longer than that, even where everything is slow.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    client: Client<HttpConnector, Body>,
    /// Up to the session.
    uri: String,
    driver: Child,
}

impl Browser {
    /// Starts one. Where there is none, says that the test is skipped, or fails it if `CI` is set.
    pub(crate) async fn start() -> Option<Self> {
        // Somebody else could take it before the driver does, which then says so and ends.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.expect("a port").port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(driver) = driver else {
            skip("there is no chromedriver (Debian: chromium, chromium-driver)");
            return None;
        };
        let mut browser = Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            uri: format!("http://127.0.0.1:{port}"),
            driver,
        };
        let started = Instant::now();
        while browser.try_ask(Method::GET, "/status", None).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "the driver does not answer");
            sleep(Duration::from_millis(20)).await;
        }
        // Everything is on loopback, and root has no sandbox.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        }}});
        let session = browser
            .try_ask(Method::POST, "/session", Some(capabilities))
            .await;
        match session {
            Ok(session) => {
                let id = session["sessionId"].as_str().expect("an id");
                browser.uri = format!("{}/session/{id}", browser.uri);
                Some(browser)
            }
            Err(why) => {
                skip(&format!("chromium does not start: {why}"));
                None
            }
        }
    }

    pub(crate) async fn open(&self, uri: &str) {
        self.ask(Method::POST, "/url", Some(json!({ "url": uri })))
            .await;
    }

    /// Runs the body of a function in the page, and returns what it does.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.ask(Method::POST, "/execute/sync", Some(script)).await
    }

    /// A command of Chromium's own.
    pub(crate) async fn command(&self, command: &str, parameters: Value) -> Value {
        let command = json!({ "cmd": command, "params": parameters });
        self.ask(Method::POST, "/goog/cdp/execute", Some(command))
            .await
    }

    /// Waits until an expression is what it should be.
    pub(crate) async fn wait_for(&self, expression: &str, expected: impl Into<Value>) {
        let (script, expected) = (format!("return {expression}"), expected.into());
        let started = Instant::now();
        loop {
            let seen = self.run(&script).await;
            if seen == expected {
                return;
            }
            let late = started.elapsed() >= PATIENCE;
            assert!(!late, "{expression} is {seen}, not {expected}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the page has complained about.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let log = json!({ "type": "browser" });
        let log = self.ask(Method::POST, "/se/log", Some(log)).await;
        log.as_array().expect("a list").clone()
    }

    pub(crate) async fn end(mut self) {
        let _ = self.try_ask(Method::DELETE, "", None).await;
        let _ = self.driver.kill().await;
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_ask(method, path, body).await;
        answer.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.uri))
            .body(body)
            .expect("a request");
        let answer = async {
            let response = self.client.request(request).await?;
            Ok::<_, Box<dyn std::error::Error>>(response.into_body().collect().await?.to_bytes())
        };
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.map_err(|late| late.to_string())?;
        let answer = answer.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        match answer["value"].get("error") {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}

/// Says that a test is skipped and why, or fails it if `CI` is set.
pub(crate) fn skip(why: &str) {
    assert!(
        env::var_os("CI").is_none(),
        "{why}; with CI set this is not skipped"
    );
    // Not eprintln!, whose lines nobody sees when the test passes.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}
