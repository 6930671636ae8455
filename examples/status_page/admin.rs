use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use evenkeel::Pool;
use evenkeel::http::Address;
use subtle::ConstantTimeEq;

/// What an operator can do, given the token:
///
/// ```text
/// POST /backends/{id}/{drain, undrain, force-down, force-up, unforce}
/// POST /backends/{id}/weight/{weight}
/// ```
pub(crate) fn routes(pool: Pool<Address>, token: String) -> Router {
    let token: &'static str = token.leak();
    Router::new()
        .route("/backends/{id}/{action}", post(act))
        .route("/backends/{id}/weight/{weight}", post(weigh))
        .layer(from_fn_with_state(token, authenticate))
        .with_state(pool)
}

/// Lets those pass who have the token. The comparison takes as long for a good guess as for a bad
/// one; only the length can be found out.
async fn authenticate(State(token): State<&'static str>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| given.ct_eq(token.as_bytes()).into()) {
        next.run(request).await
    } else {
        let challenge = [(WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge, "no such token\n").into_response()
    }
}

async fn act(
    State(pool): State<Pool<Address>>,
    Path((id, action)): Path<(String, String)>,
) -> Response {
    let found = match &*action {
        "drain" => pool.drain(&id),
        "undrain" => pool.undrain(&id),
        "force-down" => pool.force_down(&id),
        "force-up" => pool.force_up(&id),
        "unforce" => pool.unforce(&id),
        _ => return (StatusCode::NOT_FOUND, "no such action\n").into_response(),
    };
    answer(&pool, &id, found)
}

async fn weigh(
    State(pool): State<Pool<Address>>,
    Path((id, weight)): Path<(String, u32)>,
) -> Response {
    let found = pool.set_weight(&id, weight);
    answer(&pool, &id, found)
}

/// How the backend is now.
fn answer(pool: &Pool<Address>, id: &str, found: bool) -> Response {
    match pool.get(id).filter(|_| found) {
        Some(info) => format!("{info}\n").into_response(),
        None => (StatusCode::NOT_FOUND, "no such backend\n").into_response(),
    }
}
