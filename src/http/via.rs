use std::task::{Context, Poll};

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Request, Uri};
use tower_service::Service;

use super::Address;
use crate::balance::Route;

/// The backends of the pool are addresses; one client serves them all.
///
/// Made by [`BalanceLayer`](super::BalanceLayer).
#[derive(Clone, Debug)]
pub struct Via<C> {
    client: C,
    host: HostFrom,
}

/// A client for one request to one address.
///
/// Sets scheme and authority of the request's URI, and keeps its path and query. Both an
/// origin-form target (`/path`) and an absolute one (`http://name/path`) will do.
#[derive(Clone, Debug)]
pub struct Addressed<C> {
    client: C,
    address: Address,
    host: HostFrom,
}

/// Where the `Host` header comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum HostFrom {
    #[default]
    Request,
    Backend,
}

impl<C> Via<C> {
    pub(super) fn new(client: C, host: HostFrom) -> Self {
        Self { client, host }
    }
}

impl<C, B> Route<Address, Request<B>> for Via<C>
where
    C: Service<Request<B>> + Clone,
{
    type Service = Addressed<C>;

    fn route(&self, address: &Address) -> Addressed<C> {
        Addressed {
            client: self.client.clone(),
            address: address.clone(),
            host: self.host,
        }
    }
}

impl<C, B> Service<Request<B>> for Addressed<C>
where
    C: Service<Request<B>>,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        direct(&mut request, &self.address, self.host);
        self.client.call(request)
    }
}

/// Directs the request to the address.
fn direct<B>(request: &mut Request<B>, address: &Address, host: HostFrom) {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(address.scheme.clone());
    let asked = parts.authority.replace(address.authority.clone());
    parts
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    // All three parts are there, which is what this can complain about.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();

    let name = match host {
        HostFrom::Backend => Some(&address.authority),
        HostFrom::Request if request.headers().contains_key(HOST) => None,
        HostFrom::Request => asked.as_ref(),
    };
    if let Some(value) = name.and_then(host_header) {
        request.headers_mut().insert(HOST, value);
    }
}

fn host_header(authority: &Authority) -> Option<HeaderValue> {
    let name = authority.as_str();
    let name = name.rsplit_once('@').map_or(name, |(_user, name)| name);
    HeaderValue::from_str(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directed(uri: &str, host_header: Option<&str>, host: HostFrom) -> (String, Option<String>) {
        let mut request = Request::builder().uri(uri);
        if let Some(value) = host_header {
            request = request.header(HOST, value);
        }
        let mut request = request.body(()).unwrap();
        direct(&mut request, &"https://10.0.0.1:81".parse().unwrap(), host);
        let header = request
            .headers()
            .get(HOST)
            .map(|value| value.to_str().unwrap().to_owned());
        (request.uri().to_string(), header)
    }

    #[test]
    fn origin_form_keeps_path_query_and_host() {
        let expected = (
            "https://10.0.0.1:81/a?b=c".to_owned(),
            Some("name".to_owned()),
        );
        assert_eq!(
            directed("/a?b=c", Some("name"), HostFrom::Request),
            expected
        );
    }

    #[test]
    fn absolute_form_gives_its_authority_as_host() {
        let expected = (
            "https://10.0.0.1:81/a".to_owned(),
            Some("name:82".to_owned()),
        );
        assert_eq!(
            directed("http://user:pw@name:82/a", None, HostFrom::Request),
            expected
        );
    }

    #[test]
    fn an_existing_host_wins_over_the_authority() {
        let (_, host) = directed("http://name/", Some("other"), HostFrom::Request);
        assert_eq!(host.as_deref(), Some("other"));
    }

    #[test]
    fn host_can_be_taken_from_the_backend() {
        let (_, host) = directed("http://name/", Some("other"), HostFrom::Backend);
        assert_eq!(host.as_deref(), Some("10.0.0.1:81"));
    }

    #[test]
    fn asterisk_and_authority_forms_do_not_panic() {
        assert_eq!(
            directed("*", None, HostFrom::Request).0,
            "https://10.0.0.1:81*"
        );
        assert_eq!(
            directed("name:80", None, HostFrom::Request).0,
            "https://10.0.0.1:81/"
        );
    }
}
