//! Which requests reach an HTTP filter that is `disabled` in its own entry: those of the routes that turn it on, by
//! `typed_per_filter_config`. What a route says goes before its virtual host, and that before all routes.
//!
//! Only paths are understood, regular expressions as far as whole paths go. Where something else decides (a header, an expression, routes that come from elsewhere),
//! nothing is said.

use super::super::super::document::Node;
use fancy_regex::Regex;
use std::collections::BTreeMap;
use std::rc::Rc;

const PER_FILTER: [&str; 2] = ["typed_per_filter_config", "typedPerFilterConfig"];

/// The routes of a connection manager.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// By virtual host.
    hosts: Rc<Vec<Vec<Route>>>,
    /// Another path than the client's may be what they see.
    normalises: bool,
}

#[derive(Debug)]
struct Route {
    path: Path,
    /// Whether it turns these filters on; it says nothing of others.
    filters: BTreeMap<String, bool>,
}

/// What a route takes.
#[derive(Debug)]
enum Path {
    Prefix(String),
    Exact(String),
    /// Of the whole path.
    Regex(Regex),
    /// These paths or fewer, or nothing that is known here.
    Perhaps(Option<String>),
}

/// A filter that is disabled unless a route turns it on.
#[derive(Clone, Debug)]
pub(in super::super::super) struct Disabled {
    /// Where that stands.
    pub(in super::super::super) file: String,
    pub(in super::super::super) line: usize,
    filter: String,
    routes: Routes,
}

impl Routes {
    /// None if there are others than those that stand here.
    pub(super) fn read(manager: &Node) -> Option<Self> {
        let config = manager.get(&["route_config", "routeConfig"])?;
        if config.get(&["vhds"]).is_some() {
            return None;
        }
        let hosts = items(config, &["virtual_hosts", "virtualHosts"]);
        let hosts = hosts.iter().map(|host| {
            let routes = items(host, &["routes"]).iter();
            routes.map(|route| Route::read(&[config, host, route]))
        });
        let slashes = [
            "path_with_escaped_slashes_action",
            "pathWithEscapedSlashesAction",
        ];
        let slashes = manager.get(&slashes).and_then(Node::text);
        Some(Self {
            hosts: Rc::new(hosts.map(Iterator::collect).collect()),
            normalises: manager.is_on(&["normalize_path", "normalizePath"])
                || manager.is_on(&["merge_slashes", "mergeSlashes"])
                || slashes.is_some_and(|action| action != "KEEP_UNCHANGED"),
        })
    }

    /// An entry of the connection manager's filters, if it is one that is disabled.
    pub(super) fn disabled(&self, file: &str, entry: &Node) -> Option<Disabled> {
        if !entry.is_on(&["disabled"]) {
            return None;
        }
        Some(Disabled {
            file: file.to_owned(),
            line: entry.get(&["disabled"])?.line,
            filter: entry.get(&["name"])?.text()?.to_owned(),
            routes: self.clone(),
        })
    }
}

impl Disabled {
    /// Whether the filter may see a request at all.
    pub(in super::super::super) fn is_ever_on(&self) -> bool {
        let mut routes = self.routes.hosts.iter().flatten();
        routes.any(|route| route.turns_on(&self.filter))
    }

    /// Whether the filter may see a path that begins so.
    pub(in super::super::super) fn may_see_below(&self, start: &str) -> bool {
        self.routes.hosts.iter().any(|host| {
            for route in host {
                let (takes, takes_all) = match &route.path {
                    Path::Prefix(prefix) => (
                        prefix.starts_with(start) || start.starts_with(prefix),
                        start.starts_with(prefix),
                    ),
                    Path::Exact(path) => (path.starts_with(start), false),
                    Path::Regex(_) | Path::Perhaps(_) => (true, false),
                };
                let is_on = route.turns_on(&self.filter);
                if takes && is_on || takes_all {
                    return is_on;
                }
            }
            false
        })
    }

    /// Whether it is sure that the filter does not see a request with this target.
    pub(in super::super::super) fn hides(&self, target: &str) -> bool {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        if self.routes.normalises && ["//", "/.", "%", "\\"].iter().any(|odd| path.contains(odd)) {
            return false;
        }
        self.routes.hosts.iter().all(|host| {
            for route in host {
                let takes = match &route.path {
                    Path::Prefix(prefix) => path.starts_with(prefix),
                    Path::Exact(exact) => path == exact,
                    Path::Regex(regex) => regex.is_match(path).unwrap_or(true),
                    Path::Perhaps(None) => true,
                    Path::Perhaps(Some(prefix)) => path.starts_with(prefix),
                };
                let is_on = route.turns_on(&self.filter);
                let is_sure = !matches!(route.path, Path::Perhaps(_));
                if takes && (is_on || is_sure) {
                    return !is_on;
                }
            }
            // No route takes it: Envoy answers 404 and asks no filter that is disabled.
            true
        })
    }
}

impl Route {
    /// `places`: what speaks of filters, the last one before the others.
    fn read(places: &[&Node]) -> Self {
        let mut filters = BTreeMap::new();
        for place in places {
            speaks(place, &mut filters);
        }
        let route = places.last();
        let action = route.and_then(|route| route.get(&["route"]));
        let weighted =
            action.and_then(|action| action.get(&["weighted_clusters", "weightedClusters"]));
        for cluster in weighted.map_or(&[][..], |weighted| items(weighted, &["clusters"])) {
            // One of them: it may be on.
            let mut own = BTreeMap::new();
            speaks(cluster, &mut own);
            own.retain(|_, is_on| *is_on);
            filters.append(&mut own);
        }
        let taken = route.and_then(|route| route.get(&["match"]));
        Self {
            path: taken.map_or(Path::Perhaps(None), Path::read),
            filters,
        }
    }

    fn turns_on(&self, filter: &str) -> bool {
        self.filters.get(filter).copied().unwrap_or_default()
    }
}

impl Path {
    fn read(taken: &Node) -> Self {
        let text = |name| taken.get(&[name]).and_then(Node::text).map(str::to_owned);
        let regex = taken.get(&["safe_regex", "safeRegex"]);
        let regex = regex.and_then(|regex| regex.get(&["regex"])?.text());
        if let (Some(regex), 1) = (regex, taken.entries().len()) {
            let whole = Regex::new(&format!("^(?:{regex})$"));
            return whole.map_or(Self::Perhaps(None), Self::Regex);
        }
        match (text("prefix"), text("path"), taken.entries().len()) {
            (Some(prefix), _, 1) => Self::Prefix(prefix),
            (_, Some(path), 1) => Self::Exact(path),
            // Another case of letters may be meant.
            (Some(_), ..) if taken.get(&["case_sensitive", "caseSensitive"]).is_some() => {
                Self::Perhaps(None)
            }
            (prefix, ..) => Self::Perhaps(prefix),
        }
    }
}

fn items<'n>(node: &'n Node, names: &[&str]) -> &'n [Node] {
    node.get(names).map_or(&[], Node::items)
}

/// What a place says of filters: a configuration of its own turns one on, `disabled: true` off.
fn speaks(place: &Node, filters: &mut BTreeMap<String, bool>) {
    for entry in place.get(&PER_FILTER).map_or(&[][..], Node::entries) {
        filters.insert(entry.key.clone(), !entry.value.is_on(&["disabled"]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::document::yaml;
    use super::{Disabled, Routes};

    /// The filter `m`, disabled, in a connection manager with these hosts.
    fn filter(hosts: &str, more: &str) -> Option<Disabled> {
        let text = format!(
            "{more}\nroute_config: {hosts}\nhttp_filters: [{{ name: m, disabled: true }}, {{ name: other }}]\n"
        );
        let stream = yaml::read(&text);
        let manager = stream.documents.first()?;
        let routes = Routes::read(manager)?;
        let filters = manager.get(&["http_filters"])?.items();
        assert!(routes.disabled("f", filters.last()?).is_none());
        routes.disabled("f", filters.first()?)
    }

    fn of(routes: &str) -> Disabled {
        filter(
            &format!("{{ virtual_hosts: [{{ routes: [{routes}] }}] }}"),
            "stat_prefix: x",
        )
        .unwrap()
    }

    const ON: &str = "typed_per_filter_config: { m: { '@type': FilterConfig, config: {} } }";
    const ALL: &str = "{ match: { prefix: / }, route: { cluster: c } }";

    fn route(taken: &str, says: &str) -> String {
        format!("{{ match: {{ {taken} }}, {says} }}")
    }

    #[test]
    fn the_samples_routes() {
        let disabled = of(&[
            route("prefix: /api/", ON),
            route("safe_regex: { regex: '/.*/api/.*' }", ON),
            ALL.to_owned(),
        ]
        .join(", "));
        assert!(disabled.is_ever_on());
        assert!(disabled.may_see_below("/api/") && disabled.may_see_below("/sentry/api/"));
        for (target, hidden) in [
            ("/api/1/envelope/?x", false),
            ("//api/1/envelope/", false),
            ("/", true),
            ("/api?/api/", true),
            ("/sentry/api/1/envelope/", false),
            ("/rum/sentry/a/b/api/1/envelope/?x", false),
            ("/rum/sentry/", true),
            ("/organizations/?/x/api/", true),
            ("/API/1/envelope/", true),
        ] {
            assert_eq!(disabled.hides(target), hidden, "{target}");
        }
    }

    #[test]
    fn what_turns_it_on() {
        let off = "typed_per_filter_config: { m: { '@type': FilterConfig, disabled: true } }";
        let other = "typed_per_filter_config: { other: { '@type': FilterConfig, config: {} } }";
        let weighted =
            "route: { weighted_clusters: { clusters: [{ name: a }, { name: b, WHAT }] } }";
        for (routes, expected) in [
            (ALL.to_owned(), false),
            (route("prefix: /api/", off), false),
            (route("prefix: /api/", other), false),
            (route("prefix: /api/", ON), true),
            (route("prefix: /api/", &weighted.replace("WHAT", ON)), true),
            (
                route("prefix: /api/", &weighted.replace("WHAT", off)),
                false,
            ),
        ] {
            assert_eq!(of(&routes).is_ever_on(), expected, "{routes}");
        }
        // The nearest one counts.
        for (hosts, expected) in [
            (
                format!("{{ {ON}, virtual_hosts: [{{ routes: [{ALL}] }}] }}"),
                true,
            ),
            (
                format!("{{ virtual_hosts: [{{ {ON}, routes: [{ALL}] }}] }}"),
                true,
            ),
            (
                format!("{{ {ON}, virtual_hosts: [{{ {off}, routes: [{ALL}] }}] }}"),
                false,
            ),
            (
                format!(
                    "{{ {off}, virtual_hosts: [{{ routes: [{}] }}] }}",
                    route("prefix: /", ON)
                ),
                true,
            ),
        ] {
            assert_eq!(
                filter(&hosts, "x: y").unwrap().is_ever_on(),
                expected,
                "{hosts}"
            );
        }
    }

    #[test]
    fn the_first_route_that_takes_a_path_decides() {
        let behind = of(&format!("{ALL}, {}", route("prefix: /api/", ON)));
        assert!(behind.is_ever_on() && !behind.may_see_below("/api/"));
        assert!(behind.hides("/api/1/envelope/"));
        // A project's, or one of several hosts'.
        let one = of(&format!("{}, {ALL}", route("prefix: /api/7/", ON)));
        assert!(one.may_see_below("/api/") && !one.may_see_below("/sentry/api/"));
        assert!(one.hides("/api/1/envelope/"));
        let hosts = format!(
            "{{ virtual_hosts: [{{ routes: [{ALL}] }}, {{ routes: [{}] }}] }}",
            route("prefix: /", ON)
        );
        let two = filter(&hosts, "x: y").unwrap();
        assert!(two.may_see_below("/api/") && !two.hides("/api/1/envelope/"));
    }

    #[test]
    fn what_is_not_understood_is_not_judged() {
        for taken in [
            "safe_regex: { regex: '/a.*' }, headers: [{ name: a }]",
            "safe_regex: { regex: '(' }",
            "prefix: /, headers: [{ name: a }]",
            "prefix: /API, case_sensitive: false",
        ] {
            let disabled = of(&format!("{}, {ALL}", route(taken, ON)));
            assert!(disabled.may_see_below("/api/"), "{taken}");
            assert!(!disabled.hides("/api/1/envelope/"), "{taken}");
            // And the other way round: the next route may be the one.
            let other = of(&format!(
                "{}, {}",
                route(taken, "route: {}"),
                route("path: /api/1/envelope/", ON)
            ));
            assert!(!other.hides("/api/1/envelope/?x"), "{taken}");
        }
        assert!(filter("{ vhds: {} }", "x: y").is_none());
        let hosts = format!(
            "{{ virtual_hosts: [{{ routes: [{}, {ALL}] }}] }}",
            route("prefix: /api/", ON)
        );
        let merges = filter(&hosts, "merge_slashes: true").unwrap();
        assert!(!merges.hides("//api/1/envelope/") && merges.hides("/x/"));
    }
}
