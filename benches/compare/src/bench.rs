//! What every part needs.

use std::path::PathBuf;

use crate::machine::Machine;
use crate::options::Options;
use crate::ports::Ports;
use crate::tools::Tools;

pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) ports: Ports,
    pub(crate) tools: Tools,
    pub(crate) options: Options,
    /// For configurations and logs.
    pub(crate) folder: PathBuf,
}
