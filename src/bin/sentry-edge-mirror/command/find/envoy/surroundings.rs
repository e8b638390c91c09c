//! What stands around a plugin in a bootstrap and has a say in whether it works: clusters, and limits of the runtime.

use super::super::super::document::{Node, Value};
use super::super::super::finding::Finding;
use super::children;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Envoy keeps the whole answer to a fetch, up to this: its own default is larger than any module.
const RESPONSE_LIMIT: &str = "http.async_response_buffer_limit";
/// No build of the module is smaller.
pub(super) const MODULE_BYTES: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// By name.
    pub(super) clusters: BTreeSet<String>,
    /// There are clusters that nothing here names.
    pub(super) has_others: bool,
    /// What a fetch may bring, in bytes.
    pub(super) response_limit: Option<u64>,
    /// Clusters that Envoy refuses.
    pub(super) problems: Vec<Finding>,
}

impl Surroundings {
    /// Looks at one node on the way down.
    pub(super) fn visit(&mut self, file: &str, node: &Node) {
        if let Some(resources) = node.get(&["static_resources", "staticResources"]) {
            let clusters = resources.get(&["clusters"]).map(Node::items);
            self.add(file, clusters.unwrap_or_default().iter());
        }
        if let Some(resources) = node.get(&["resources"]) {
            let is_cluster = |node: &&Node| {
                let kind = node.get(&["@type"]).and_then(Node::text);
                kind.is_some_and(|kind| kind.ends_with(".Cluster"))
            };
            self.add(file, resources.items().iter().filter(is_cluster));
        }
        if let Some(runtime) = node.get(&["layered_runtime", "layeredRuntime"]) {
            for layer in runtime
                .get(&["layers"])
                .map(Node::items)
                .unwrap_or_default()
            {
                let fields = layer.get(&["static_layer", "staticLayer"]);
                let limit = fields.and_then(limit);
                self.response_limit = limit.or(self.response_limit);
            }
        }
    }

    fn add<'n>(&mut self, file: &str, clusters: impl Iterator<Item = &'n Node>) {
        for cluster in clusters {
            if cluster.get(&["type"]).and_then(Node::text) == Some("STATIC") {
                names_of_hosts(file, cluster, &mut self.problems);
            }
            match cluster.get(&["name"]).and_then(Node::text) {
                Some(name) => {
                    self.clusters.insert(name.to_owned());
                }
                None => self.has_others = true,
            }
        }
    }
}

/// A static cluster connects to addresses, and resolves nothing.
fn names_of_hosts(file: &str, node: &Node, problems: &mut Vec<Finding>) {
    if let Some(socket) = node.get(&["socket_address", "socketAddress"]) {
        let resolves = socket.get(&["resolver_name", "resolverName"]).is_some();
        let named = socket.get(&["address"]).filter(|node| {
            let address = node.text();
            address.is_some_and(|text| text.parse::<IpAddr>().is_err()) && !resolves
        });
        if let Some(node) = named {
            let name = node.text().unwrap_or_default();
            let message = format!(
                "address: expected an IP address, because the cluster is STATIC, got {name:?}: for a name see the cluster rum of envoy/tee-tls.yaml"
            );
            problems.push(Finding::new(file, node.line, message));
        }
        return;
    }
    for child in children(node) {
        names_of_hosts(file, child, problems);
    }
}

/// As one key, or as an object of its parts.
fn limit(fields: &Node) -> Option<u64> {
    let nested = || fields.get(&["http"])?.get(&["async_response_buffer_limit"]);
    match &fields.get(&[RESPONSE_LIMIT]).or_else(nested)?.value {
        Value::Number(number) => format!("{number}").parse().ok(),
        Value::String(text) => text.text.parse().ok(),
        _ => None,
    }
}
