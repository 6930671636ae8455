use std::collections::HashMap;
use std::hash::Hash;

/// Whether the weights of localities count.
///
/// In Envoy they do with locality-weighted load balancing alone, which is a setting of the cluster,
/// of which EDS says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalityWeights {
    /// An endpoint's weight is its own. The default, as in Envoy.
    #[default]
    Ignored,
    /// An endpoint's share of its priority is its locality's share times its share of the locality:
    ///
    /// ```text
    /// share = locality weight / sum of the priority's × endpoint weight / sum of the locality's
    /// ```
    ///
    /// The weights are the smallest whole numbers of these proportions, and the nearest ones, at
    /// least 1, where those do not fit into 32 bits. If one locality of a priority has a weight,
    /// those of it that have none get no requests: their endpoints have weight 0.
    ///
    /// These are shares of the whole assignment. An endpoint that is not healthy is passed over, and
    /// takes its share of the locality's with it at once, where Envoy lets a locality keep its
    /// weight while 1/1.4 of it is healthy.
    Multiplied,
}

/// One endpoint, among those of one priority.
pub(super) struct Weighed<L> {
    pub(super) locality: L,
    pub(super) weight: u32,
}

/// The weights of all endpoints of one priority, by those of their localities. In the same order.
pub(super) fn multiplied<L: Copy + Eq + Hash>(
    endpoints: &[Weighed<L>],
    localities: &HashMap<L, u32>,
) -> Vec<u32> {
    if !endpoints
        .iter()
        .any(|endpoint| localities.contains_key(&endpoint.locality))
    {
        // Nobody has a weight: as if there were none to consider.
        return endpoints.iter().map(|endpoint| endpoint.weight).collect();
    }
    let mut sums: HashMap<L, u64> = HashMap::new();
    for endpoint in endpoints {
        *sums.entry(endpoint.locality).or_default() += u64::from(endpoint.weight);
    }
    let locality = |endpoint: &Weighed<L>| localities.get(&endpoint.locality).copied().unwrap_or(0);
    exact(endpoints, &sums, locality).unwrap_or_else(|| {
        let share = |endpoint: &Weighed<L>| {
            let sum = sums[&endpoint.locality] as f64;
            f64::from(locality(endpoint)) * f64::from(endpoint.weight) / sum
        };
        let max = endpoints.iter().map(share).fold(0.0, f64::max);
        let scaled = |endpoint: &Weighed<L>| match locality(endpoint) {
            0 => 0,
            // A float that is too large becomes the largest number.
            _ => ((share(endpoint) / max * f64::from(u32::MAX)).round() as u32).max(1),
        };
        endpoints.iter().map(scaled).collect()
    })
}

/// `None` if the numbers become too large.
fn exact<L: Copy + Eq + Hash>(
    endpoints: &[Weighed<L>],
    sums: &HashMap<L, u64>,
    locality: impl Fn(&Weighed<L>) -> u32,
) -> Option<Vec<u32>> {
    let mut common: u128 = 1;
    for &sum in sums.values() {
        let sum = u128::from(sum);
        common = common.checked_mul(sum / gcd(common, sum))?;
    }
    let product = |endpoint: &Weighed<L>| {
        let part = common / u128::from(sums[&endpoint.locality]);
        part.checked_mul(u128::from(locality(endpoint)))?
            .checked_mul(u128::from(endpoint.weight))
    };
    let products = endpoints.iter().map(product).collect::<Option<Vec<_>>>()?;
    let divisor = products.iter().copied().fold(0, gcd).max(1);
    products
        .into_iter()
        .map(|product| u32::try_from(product / divisor).ok())
        .collect()
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(endpoints: &[(char, u32)], localities: &[(char, u32)]) -> Vec<u32> {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|&(locality, weight)| Weighed { locality, weight })
            .collect();
        multiplied(&endpoints, &localities.iter().copied().collect())
    }

    #[test]
    fn localities_share_by_their_weights_however_many_endpoints_they_have() {
        // Of a, half to each; of b, all to the one.
        let shares = weights(&[('a', 1), ('a', 1), ('b', 7)], &[('a', 3), ('b', 1)]);
        assert_eq!(shares, [3, 3, 2]);
        let shares = weights(&[('a', 1), ('a', 2), ('b', 1)], &[('a', 1), ('b', 1)]);
        assert_eq!(shares, [1, 2, 3]);
    }

    #[test]
    fn a_locality_without_weight_gets_nothing_unless_nobody_has_one() {
        assert_eq!(weights(&[('a', 5), ('b', 5)], &[('a', 2)]), [1, 0]);
        assert_eq!(weights(&[('a', 5), ('b', 3)], &[]), [5, 3]);
        // A weight of a locality that has no endpoints is nobody's.
        assert_eq!(weights(&[('a', 5), ('b', 3)], &[('c', 3)]), [5, 3]);
    }

    #[test]
    fn proportions_that_need_more_than_32_bits_are_near_and_never_zero() {
        let shares = weights(
            &[('a', u32::MAX), ('a', 1), ('b', 1)],
            &[('a', 1), ('b', 1)],
        );
        assert_eq!(shares, [u32::MAX - 1, 1, u32::MAX]);
        let shares = weights(
            &[('a', u32::MAX), ('a', 1), ('b', 1)],
            &[('a', 1), ('b', 9)],
        );
        assert_eq!(shares, [477_218_588, 1, u32::MAX]);
        let shares = weights(
            &[('a', u32::MAX), ('b', u32::MAX - 1), ('c', 65_537)],
            &[('a', u32::MAX), ('b', u32::MAX - 2), ('c', 1)],
        );
        assert_eq!(shares, [u32::MAX, u32::MAX - 2, 1]);
    }

    #[test]
    fn many_localities_of_odd_sums_do_not_overflow() {
        let endpoints: Vec<_> = (0..200u32)
            .flat_map(|at| [(at, 4_294_967_291 - at), (at, 1)])
            .map(|(locality, weight)| Weighed { locality, weight })
            .collect();
        let localities = (0..200).map(|at| (at, u32::MAX - at)).collect();
        let shares = multiplied(&endpoints, &localities);
        assert!(shares.iter().all(|&share| share > 0));
    }
}
