//! A client stays with its backend: through a drain, and until the backend has gone.
//!
//! Three backends, three browsers that keep their cookies, and one that makes cookies up.
//!
//! ```text
//! cargo run --example sticky_sessions --features sticky
//! ```

use std::convert::Infallible;
use std::error::Error;

use evenkeel::http::sticky::{SessionCookie, Sticky, Tokens};
use evenkeel::http::{Address, BalanceLayer, TrackedBody};
use evenkeel::{Backend, Pool};
use http::{Request, Response};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

type Body = TrackedBody<String>;

/// A client that sends back the cookie that it was given last.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
}

impl Browser {
    /// Asks, and returns who answered.
    async fn get<S>(&mut self, site: &S) -> Result<String, Box<dyn Error>>
    where
        S: Service<Request<()>, Response = Response<Body>, Error = evenkeel::Error> + Clone,
    {
        let mut request = Request::get("http://shop.example/cart");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = site.clone().oneshot(request.body(())?).await?;
        if let Some(set) = response.headers().get("set-cookie") {
            let pair = set.to_str()?.split(';').next();
            self.cookie = pair.map(str::to_owned);
        }
        Ok(response.body().backend().to_owned())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // In place of an HTTP client. Backends have addresses, which no client gets to see.
    let client = service_fn(|_request: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let pool = Pool::new();
    for (id, address) in [
        ("a", "10.0.0.1:80"),
        ("b", "10.0.0.2:80"),
        ("c", "10.0.0.3:80"),
    ] {
        pool.insert(Backend::new(id, address.parse::<Address>()?));
    }

    // In earnest: 32 random bytes from the configuration, the same in all programs before this
    // pool. Over plain HTTP, `secure(false)`.
    let tokens = Tokens::new("shop", [[0x5e; 32]])?;
    let site = ServiceBuilder::new()
        .layer(Sticky::cookie(tokens, SessionCookie::new("route")?)?)
        .layer(BalanceLayer::round_robin(pool.clone()))
        .service(client);

    let mut browsers: [Browser; 3] = Default::default();
    let mut first = Vec::new();
    for browser in &mut browsers {
        first.push(browser.get(&site).await?);
    }
    println!("first visit:         {}", first.join(" "));
    println!(
        "a cookie:            {}",
        browsers[0].cookie.as_deref().unwrap_or("none")
    );
    for visit in ["second visit:", "third visit:"] {
        let mut homes = Vec::new();
        for browser in &mut browsers {
            homes.push(browser.get(&site).await?);
        }
        println!("{visit:20} {}", homes.join(" "));
        assert_eq!(homes, first);
    }

    let home = first[0].clone();
    pool.drain(&home);
    println!(
        "{home} is drained, and the browser that was there goes to {}",
        browsers[0].get(&site).await?
    );
    let mut newcomers = Vec::new();
    for _ in 0..4 {
        newcomers.push(Browser::default().get(&site).await?);
    }
    println!("newcomers go to      {}", newcomers.join(" "));
    assert!(!newcomers.contains(&home));

    let old = browsers[0].cookie.clone().unwrap_or_default();
    let mut forger = Browser {
        cookie: Some(old.replace(['A', 'a'], "B")),
    };
    let answer = forger.get(&site).await?;
    println!("a forged cookie is none: that browser is a newcomer, and goes to {answer}");
    assert_ne!(answer, home);

    pool.remove(&home);
    let next = browsers[0].get(&site).await?;
    println!("{home} has left, and the browser that was there goes to {next} from now on");
    assert_eq!(browsers[0].get(&site).await?, next);
    assert_ne!(browsers[0].cookie.as_deref(), Some(&*old));
    Ok(())
}
