//! The proxies, each with the settings that it is measured with.

pub(crate) mod envoy;
pub(crate) mod evenkeel;
pub(crate) mod floor;
mod front;
pub(crate) mod haproxy;
pub(crate) mod nginx;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::tools::Tools;

pub(crate) use self::front::Front;

/// A proxy with its settings.
#[derive(Clone, Copy)]
pub(crate) enum Contestant {
    Evenkeel(evenkeel::Setting),
    Floor(floor::Setting),
    Nginx(nginx::Setting),
    Haproxy(haproxy::Setting),
    Envoy(envoy::Setting),
}

/// Where a proxy finds what it needs.
pub(crate) struct Place<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) backends: &'a [Backend],
    /// For its configuration.
    pub(crate) folder: &'a Path,
    /// How many clients it has to hold at once.
    pub(crate) connections: usize,
    pub(crate) tools: &'a Tools,
}

#[derive(Clone, Copy)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
}

/// How long one attempt at a backend may take where backends may hang, for those that have such a
/// setting: what a cautious operator would choose for answers that take milliseconds.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(1);

/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// Connections to each backend that are kept open.
pub(crate) const KEPT: usize = 128;

/// The settings of each, in words.
pub(crate) const ABOUT: [&str; 5] = [
    evenkeel::ABOUT,
    floor::ABOUT,
    nginx::ABOUT,
    haproxy::ABOUT,
    envoy::ABOUT,
];

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evenkeel(_) => "evenkeel",
            Self::Floor(_) => "floor",
            Self::Nginx(_) => "nginx",
            Self::Haproxy(_) => "HAProxy",
            Self::Envoy(_) => "Envoy",
        }
    }

    /// What distinguishes it from the same proxy with other settings.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Evenkeel(setting) => setting.label,
            Self::Floor(setting) => setting.label(),
            Self::Nginx(setting) => setting.label,
            Self::Haproxy(setting) => setting.label,
            Self::Envoy(setting) => setting.label,
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Evenkeel(_))
    }

    /// Why it cannot be measured here, if it cannot.
    pub(crate) fn missing(self, tools: &Tools) -> Option<&str> {
        let tool = match self {
            Self::Evenkeel(_) | Self::Floor(_) => return None,
            Self::Nginx(_) => &tools.nginx,
            Self::Haproxy(_) => &tools.haproxy,
            Self::Envoy(_) => &tools.envoy,
        };
        tool.as_ref().err().map(String::as_str)
    }

    /// How it is started. Its configuration is written.
    ///
    /// # Errors
    ///
    /// Where it is missing.
    pub(crate) fn command(self, place: &Place<'_>) -> Result<Command> {
        match self {
            Self::Evenkeel(setting) => setting.command(place),
            Self::Floor(setting) => setting.command(place),
            Self::Nginx(setting) => setting.command(place),
            Self::Haproxy(setting) => setting.command(place),
            Self::Envoy(setting) => setting.command(place),
        }
    }
}
