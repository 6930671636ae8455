use super::Permit;

/// For how long a request counts as in flight.
///
/// It is handed a request's permit along with the response, and whoever has the permit holds it.
/// After an error, or without a response at all, the permit is given back in any case.
///
/// # Examples
///
/// To the last clone of a response that is shared:
///
/// ```
/// use evenkeel::limit::{Hold, LimitLayer, Permit};
/// use std::sync::Arc;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[derive(Clone)]
/// struct UntilForgotten;
///
/// impl<T> Hold<T> for UntilForgotten {
///     type Response = Arc<(T, Permit)>;
///
///     fn hold(&self, response: T, permit: Permit) -> Self::Response {
///         Arc::new((response, permit))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower::BoxError> {
/// let limit = LimitLayer::new(10)?.hold(UntilForgotten);
/// let service = service_fn(|_request: ()| async { Ok::<_, tower::BoxError>("ticket") });
///
/// let ticket = limit.layer(service).oneshot(()).await?;
/// assert_eq!((ticket.0, limit.in_flight()), ("ticket", 1));
/// drop(ticket);
/// assert_eq!(limit.in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a permit for responses of type `{Res}`",
    note = "`http::UntilBodyEnd` is for `http::Response<B>` where `B` is an `http_body::Body`"
)]
pub trait Hold<Res> {
    /// What the response becomes.
    type Response;

    /// Takes a response and the permit of its request. Dropping the permit gives it back.
    fn hold(&self, response: Res, permit: Permit) -> Self::Response;
}

/// In flight until there is a response: the default.
///
/// For HTTP that is the head; see [`UntilBodyEnd`](crate::http::UntilBodyEnd) for the body.
///
/// # Examples
///
/// ```
/// use evenkeel::limit::{LimitLayer, UntilResponse};
///
/// let limit: LimitLayer<UntilResponse> = LimitLayer::new(100)?;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilResponse;

impl<Res> Hold<Res> for UntilResponse {
    type Response = Res;

    #[inline]
    fn hold(&self, response: Res, permit: Permit) -> Res {
        drop(permit);
        response
    }
}
