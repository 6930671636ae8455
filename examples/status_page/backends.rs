use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use evenkeel::http::Address;
use evenkeel::{Backend, Pool};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// Five servers in this process, of which one is slow, and one fails four times of five.
pub(crate) async fn pool() -> Result<Pool<Address>, std::io::Error> {
    let pool = Pool::new();
    for (id, zone, millis, failing) in [
        ("amber", "north", 5, 0.0),
        ("cobalt", "north", 8, 0.0),
        ("jade", "south", 60, 0.0),
        ("ruby", "south", 3, 0.8),
        ("slate", "south", 6, 0.01),
    ] {
        let server = server(Duration::from_millis(millis), failing).await?;
        let backend = Backend::new(id, Address::from(server))
            .zone(zone)
            .weight(2)
            .max_in_flight(32);
        pool.insert(backend);
    }
    Ok(pool)
}

async fn server(takes: Duration, failing: f64) -> Result<SocketAddr, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = async move || {
        sleep(takes.mul_f64(0.5 + fastrand::f64())).await;
        if fastrand::f64() < failing {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        }
    };
    let app = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
