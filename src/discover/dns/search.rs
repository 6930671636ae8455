use hickory_resolver::config::ResolverConfig;
use hickory_resolver::proto::rr::Name;

/// What is appended to names that do not end with a dot: `search` and `ndots` of `resolv.conf`.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) domains: Vec<Name>,
    pub(super) ndots: usize,
}

impl Search {
    pub(super) fn of(config: &ResolverConfig, ndots: usize) -> Self {
        let domains = match config.search() {
            [] => config.domain().cloned().into_iter().collect(),
            search => search.to_vec(),
        };
        Self { domains, ndots }
    }

    /// The names to ask for, one after the other, until there is something.
    pub(super) fn names(&self, name: &Name) -> Vec<Name> {
        let mut as_it_is = name.clone();
        as_it_is.set_fqdn(true);
        if name.is_fqdn() {
            return vec![as_it_is];
        }
        // What gets too long with a domain cannot be there.
        let appended = |domain| name.clone().append_domain(domain).ok();
        let mut names: Vec<Name> = self.domains.iter().filter_map(appended).collect();
        for name in &mut names {
            name.set_fqdn(true);
        }
        let dots = name.iter().len().saturating_sub(1);
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, as_it_is);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(domains: &[&str], ndots: usize, name: &str) -> Vec<String> {
        let domains = domains
            .iter()
            .map(|domain| domain.parse().unwrap())
            .collect();
        let search = Search { domains, ndots };
        let names = search.names(&name.parse().unwrap());
        assert!(names.iter().all(Name::is_fqdn));
        names.iter().map(Name::to_string).collect()
    }

    #[test]
    fn a_name_with_few_dots_is_searched_first_and_an_absolute_one_never() {
        let domains = ["svc.cluster.local", "cluster.local."];
        assert_eq!(
            names(&domains, 5, "api.shop"),
            [
                "api.shop.svc.cluster.local.",
                "api.shop.cluster.local.",
                "api.shop."
            ]
        );
        assert_eq!(
            names(&domains, 1, "api.shop"),
            [
                "api.shop.",
                "api.shop.svc.cluster.local.",
                "api.shop.cluster.local."
            ]
        );
        assert_eq!(names(&domains, 5, "api.shop."), ["api.shop."]);
        assert_eq!(names(&[], 5, "api"), ["api."]);
    }

    #[test]
    fn what_gets_too_long_is_not_asked_for() {
        let long = [&*"a".repeat(60); 4].join(".");
        assert_eq!(
            names(&["example.com.example.com"], 5, &long),
            [format!("{long}.")]
        );
    }
}
