use std::sync::Arc;

use http::Request;
use serde::Deserialize;

use super::invalid::{Invalid, Told};
use super::key::RequestKey;
use super::values::Texts;
use crate::InvalidSetting;
use crate::http::key::ForwardedIn;
use crate::picker::hash::{HashAlgorithm, Keyed, WholeRequest};
use crate::picker::{Algorithm, LeastRequests, LeastResponseTime, Picker};

/// `[picker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PickerSection {
    algorithm: Option<String>,
    choices: Option<usize>,
    key: Option<Texts>,
    bounded_load: Option<f64>,
    trusted_proxies: Option<Vec<String>>,
    forwarded_in: Option<String>,
}

/// A picker that is still to be made, for requests of some type.
#[derive(Clone, Debug)]
pub(super) enum PickerChoice {
    Plain(Algorithm),
    LeastRequests(usize),
    LeastResponseTime(usize),
    Keyed {
        algorithm: HashAlgorithm,
        keys: Vec<RequestKey>,
        bounded_load: Option<f64>,
    },
}

const KEYED_ONLY: &str = "one of the algorithms that go by a key";

impl PickerSection {
    pub(super) fn build(self) -> Result<PickerChoice, Invalid> {
        let name = self.algorithm.as_deref();
        let name = name.unwrap_or(Algorithm::LeastRequests.name());
        if let Ok(algorithm) = name.parse() {
            return self.keyed(algorithm);
        }
        let Ok(algorithm) = name.parse::<Algorithm>() else {
            let all = Algorithm::ALL.iter().map(|known| known.name());
            let keyed = HashAlgorithm::ALL.iter().map(|known| known.name());
            let all: Vec<_> = all.chain(keyed).collect();
            let problem = format!(
                "unknown algorithm {name:?}, expected one of {}",
                all.join(", ")
            );
            return Err(Invalid::at("algorithm", problem));
        };
        for (field, is_there) in [
            ("key", self.key.is_some()),
            ("bounded_load", self.bounded_load.is_some()),
            ("trusted_proxies", self.trusted_proxies.is_some()),
            ("forwarded_in", self.forwarded_in.is_some()),
        ] {
            if is_there {
                return Err(Invalid::setting(field, "algorithm", algorithm, KEYED_ONLY));
            }
        }
        match (algorithm, self.choices) {
            (_, None) => Ok(PickerChoice::Plain(algorithm)),
            (Algorithm::LeastRequests, Some(choices)) => LeastRequests::with_choices(choices)
                .map(|_| PickerChoice::LeastRequests(choices))
                .map_err(|error| Invalid::at("choices", error)),
            (Algorithm::LeastResponseTime, Some(choices)) => {
                LeastResponseTime::with_choices(choices)
                    .map(|_| PickerChoice::LeastResponseTime(choices))
                    .map_err(|error| Invalid::at("choices", error))
            }
            _ => {
                let expected = "least-requests or least-response-time";
                Err(Invalid::setting(
                    "choices",
                    "algorithm",
                    algorithm,
                    expected,
                ))
            }
        }
    }

    fn keyed(self, algorithm: HashAlgorithm) -> Result<PickerChoice, Invalid> {
        if self.choices.is_some() {
            let expected = "least-requests or least-response-time";
            return Err(Invalid::setting(
                "choices",
                "algorithm",
                algorithm,
                expected,
            ));
        }
        if let Some(factor) = self.bounded_load {
            let _checked = Keyed::new(algorithm, WholeRequest)
                .bounded_load(factor)
                .map_err(|error| Invalid::at("bounded_load", error))?;
        }
        let header = self
            .forwarded_in
            .as_deref()
            .map_or(Ok(ForwardedIn::XForwardedFor), forwarded_in)?;
        if let (Some(header), None) = (&self.forwarded_in, &self.trusted_proxies) {
            let expected = "trusted_proxies beside it: nobody is believed without";
            let given = format_args!("{header:?}");
            return Err(Invalid::setting("forwarded_in", "header", given, expected));
        }
        let texts = self
            .key
            .map_or_else(|| vec!["client-address".to_owned()], |texts| texts.0);
        if texts.is_empty() {
            return Err(Invalid::setting(
                "key",
                "list of keys",
                "[]",
                "at least one",
            ));
        }
        let mut keys = Vec::new();
        for text in texts {
            let key: Result<RequestKey, InvalidSetting> = text.parse();
            let key = key.map_err(|error| Invalid::at("key", error))?;
            let proxies = self.trusted_proxies.clone();
            keys.push(key.told("trusted_proxies", proxies, |key, networks| {
                key.behind_proxies(networks, &header)
            })?);
        }
        let by_client = |key: &RequestKey| matches!(key, RequestKey::ClientAddress(_));
        if self.trusted_proxies.is_some() && !keys.iter().any(by_client) {
            let expected = "client-address among the keys: the others have nothing of proxies";
            return Err(Invalid::setting(
                "trusted_proxies",
                "setting",
                "trusted_proxies",
                expected,
            ));
        }
        Ok(PickerChoice::Keyed {
            algorithm,
            keys,
            bounded_load: self.bounded_load,
        })
    }
}

fn forwarded_in(name: &str) -> Result<ForwardedIn, Invalid> {
    match name.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardedIn::XForwardedFor),
        "forwarded" => Ok(ForwardedIn::Forwarded),
        other => other.parse().map(ForwardedIn::Header).map_err(|_| {
            let given = format_args!("{name:?}");
            Invalid::setting(
                "forwarded_in",
                "header name",
                given,
                "a token, such as forwarded",
            )
        }),
    }
}

impl PickerChoice {
    pub(super) fn picker<B: 'static>(&self) -> Arc<dyn Picker<Request<B>>> {
        match self {
            Self::Plain(algorithm) => algorithm.picker(),
            Self::LeastRequests(choices) => {
                Arc::new(LeastRequests::with_choices(*choices).expect("it was checked"))
            }
            Self::LeastResponseTime(choices) => {
                Arc::new(LeastResponseTime::with_choices(*choices).expect("it was checked"))
            }
            Self::Keyed {
                algorithm,
                keys,
                bounded_load,
            } => {
                let keyed = Keyed::new(*algorithm, keys.clone());
                Arc::new(match bounded_load {
                    Some(factor) => keyed.bounded_load(*factor).expect("it was checked"),
                    None => keyed,
                })
            }
        }
    }
}

impl Default for PickerChoice {
    fn default() -> Self {
        Self::Plain(Algorithm::LeastRequests)
    }
}
