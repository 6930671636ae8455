use super::place::Place;
use super::table::{Built, Found};
use super::{
    EnvoyMaglev, EnvoyRingHash, Libketama, Maglev, Modulo, NginxConsistent, NginxHash, NginxIpHash,
    Rendezvous, RingHash,
};
use crate::picker::algorithm::named_algorithms;

named_algorithms! {
    /// The name of an algorithm of this module, to choose one at run time.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::picker::Context;
    /// use evenkeel::picker::hash::{HashAlgorithm, Keyed, WholeRequest};
    /// use evenkeel::Picker;
    ///
    /// let algorithm: HashAlgorithm = "maglev".parse()?;
    /// let picker = Keyed::new(algorithm, WholeRequest);
    /// assert!(picker.pick(&["a", "b"], "key", &mut Context::new()).is_some());
    /// # Ok::<(), evenkeel::picker::UnknownAlgorithm>(())
    /// ```
    pub enum HashAlgorithm {
        Maglev = "maglev",
        RingHash = "ring-hash",
        Rendezvous = "rendezvous",
        Modulo = "modulo",
        NginxHash = "nginx-hash",
        NginxConsistent = "nginx-consistent",
        NginxIpHash = "nginx-ip-hash",
        Libketama = "libketama",
        EnvoyRingHash = "envoy-ring-hash",
        EnvoyMaglev = "envoy-maglev",
    }
}

/// What one of the algorithms has built.
pub trait Erased: Send + Sync {
    fn find(&self, key: &[u8], accept: &mut dyn FnMut(u32) -> Option<usize>) -> Found;
}

struct MapOf<T: Built>(T::Map);

impl<T: Built> Erased for MapOf<T> {
    fn find(&self, key: &[u8], accept: &mut dyn FnMut(u32) -> Option<usize>) -> Found {
        T::find(&self.0, key, accept)
    }
}

fn erased<T: Built>(table: &T, places: &[Place]) -> Box<dyn Erased> {
    Box::new(MapOf::<T>(table.build(places)))
}

impl Built for HashAlgorithm {
    type Map = Box<dyn Erased>;

    fn build(&self, places: &[Place]) -> Self::Map {
        match self {
            Self::Maglev => erased(&Maglev::new(), places),
            Self::RingHash => erased(&RingHash::new(), places),
            Self::Rendezvous => erased(&Rendezvous::new(), places),
            Self::Modulo => erased(&Modulo::new(), places),
            Self::NginxHash => erased(&NginxHash::new(), places),
            Self::NginxConsistent => erased(&NginxConsistent::new(), places),
            Self::NginxIpHash => erased(&NginxIpHash::new(), places),
            Self::Libketama => erased(&Libketama::new(), places),
            Self::EnvoyRingHash => erased(&EnvoyRingHash::new(), places),
            Self::EnvoyMaglev => erased(&EnvoyMaglev::new(), places),
        }
    }

    fn find(map: &Self::Map, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        map.find(key, &mut accept)
    }
}
