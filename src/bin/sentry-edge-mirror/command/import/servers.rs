//! The servers of a configuration, and which of them are meant.

use super::super::nginx::Directive;
use super::follow::Server;
use sentry_edge_mirror::sentry::ingest::HostPattern;
use std::collections::BTreeSet;

/// All directives with what is around them, and the servers among them. A fragment, which stands in a server elsewhere, is one.
#[derive(Debug)]
pub(super) struct Site<'d> {
    /// Of the `http` block, on every level.
    pub(super) directives: Vec<&'d Directive>,
    pub(super) servers: Vec<Server<'d>>,
}

impl<'d> Site<'d> {
    pub(super) fn new(root: &'d [Directive]) -> Self {
        let mut site = Self {
            directives: Vec::new(),
            servers: Vec::new(),
        };
        let is_http = |directive: &&Directive| directive.is("http");
        let https: Vec<&Directive> = root.iter().filter(is_http).collect();
        if https.is_empty() {
            site.level(root, &[]);
        }
        for http in &https {
            site.level(http.inner(), &[http]);
        }
        if let (true, Some(head)) = (site.servers.is_empty(), root.first()) {
            let mirrors = site
                .directives
                .iter()
                .any(|directive| directive.is("mirror"));
            let passes = |location: &&Directive| {
                location.is("location")
                    && location.inner().iter().any(|inner| inner.is("proxy_pass"))
            };
            site.servers.push(Server {
                inner: root,
                scope: Vec::new(),
                head,
                lone: root.iter().find(passes).filter(|_| !mirrors),
            });
        }
        site
    }

    fn level(&mut self, level: &'d [Directive], outer: &[&'d Directive]) {
        for directive in level {
            collect(directive, &mut self.directives);
            if directive.is("server") && directive.block.is_some() {
                let scope = outer.iter().copied().chain([directive]).collect();
                self.servers.push(Server {
                    inner: directive.inner(),
                    scope,
                    head: directive,
                    lone: None,
                });
            }
        }
    }
}

fn collect<'d>(directive: &'d Directive, all: &mut Vec<&'d Directive>) {
    all.push(directive);
    for inner in directive.inner() {
        collect(inner, all);
    }
}

impl Server<'_> {
    fn all(&self, name: &str) -> impl Iterator<Item = &Directive> {
        self.inner.iter().filter(move |inner| inner.is(name))
    }

    /// Whether `--server` means this one: by a name or by a port.
    pub(super) fn is_called(&self, wanted: &str) -> bool {
        let mut names = self.all("server_name").flat_map(|names| &names.args);
        let by_name = names.any(|name| name.text.eq_ignore_ascii_case(wanted));
        by_name || self.ports().any(|port| port == wanted)
    }

    /// The hosts that it is for. None when it is for others too: the default one of its port, or one with names that are no
    /// names of hosts.
    pub(super) fn hosts(&self) -> Option<BTreeSet<String>> {
        let is_default = |listen: &Directive| {
            let mut words = listen.args.iter();
            words.any(|word| matches!(word.text.as_str(), "default_server" | "default"))
        };
        if self.all("listen").any(is_default) {
            return None;
        }
        let mut hosts = BTreeSet::new();
        for name in self.all("server_name").flat_map(|names| &names.args) {
            let name = name.text.to_ascii_lowercase();
            let of = match name.strip_prefix('.') {
                Some(domain) => vec![domain.to_owned(), format!("*{name}")],
                None => vec![name],
            };
            // `_` is what nobody asks for: such a server is meant for all.
            if !of
                .iter()
                .all(|name| name.contains('.') && HostPattern::parse(name).is_some())
            {
                return None;
            }
            hosts.extend(of);
        }
        Some(hosts).filter(|hosts| !hosts.is_empty())
    }

    fn ports(&self) -> impl Iterator<Item = &str> {
        let listens = self.all("listen").filter_map(|listen| listen.arg(0));
        listens.map(|address| match address.rsplit_once(':') {
            Some((_, port)) => port,
            None if address.bytes().all(|byte| byte.is_ascii_digit()) => address,
            None => "80",
        })
    }

    /// As it is known to its operator: names and ports.
    pub(super) fn title(&self) -> String {
        let names = self.all("server_name").flat_map(|names| &names.args);
        let mut title: Vec<&str> = names.map(|name| name.text.as_str()).collect();
        let ports: Vec<&str> = self.ports().collect();
        let port = format!(
            "port {}",
            if ports.is_empty() {
                "80".to_owned()
            } else {
                ports.join(", ")
            }
        );
        title.push(&port);
        title.join(" ")
    }
}
