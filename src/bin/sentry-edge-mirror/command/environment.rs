//! The environment that a configuration is read with: the command's own, `--env`, and what of it the proxy hands on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What of its environment a proxy hands to the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostEnvironment {
    /// Not known: everything.
    All,
    Listed {
        /// By name, from the proxy's own environment.
        handed: BTreeSet<String>,
        /// With their values, in the configuration itself.
        fixed: BTreeMap<String, String>,
        /// What to do about a variable that is not listed.
        hint: &'static str,
    },
}

/// The variables of `--env`, then those of the command.
#[derive(Debug, Default)]
pub(super) struct Environment {
    set: BTreeMap<String, String>,
}

impl Environment {
    pub(super) fn new(set: &[(String, String)]) -> Self {
        Self {
            set: set.iter().cloned().collect(),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.set
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
    }
}

/// The environment as one module sees it. It remembers what the proxy keeps from it.
pub(super) struct View<'e> {
    environment: &'e Environment,
    host: &'e HostEnvironment,
    hidden: RefCell<BTreeSet<String>>,
}

impl<'e> View<'e> {
    pub(super) fn new(environment: &'e Environment, host: &'e HostEnvironment) -> Self {
        Self {
            environment,
            host,
            hidden: RefCell::default(),
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        let HostEnvironment::Listed { handed, fixed, .. } = self.host else {
            return self.environment.get(name);
        };
        if let Some(value) = fixed.get(name) {
            return Some(value.clone());
        }
        if !handed.contains(name) {
            self.hidden.borrow_mut().insert(name.to_owned());
            return None;
        }
        self.environment.get(name)
    }

    /// Variables that were asked for and that the proxy does not hand on, and what to do.
    pub(super) fn hidden(&self) -> Vec<(String, &'static str)> {
        let HostEnvironment::Listed { hint, .. } = self.host else {
            return Vec::new();
        };
        let hidden = self.hidden.borrow();
        hidden.iter().map(|name| (name.clone(), *hint)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, HostEnvironment, View};

    #[test]
    fn what_the_proxy_does_not_list_is_not_there() {
        let environment = Environment::new(&[
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "2".to_owned()),
        ]);
        let host = HostEnvironment::Listed {
            handed: ["A".to_owned()].into(),
            fixed: [("C".to_owned(), "3".to_owned())].into(),
            hint: "list it",
        };
        let view = View::new(&environment, &host);
        assert_eq!(view.lookup("A").as_deref(), Some("1"));
        assert_eq!(view.lookup("B"), None);
        assert_eq!(view.lookup("C").as_deref(), Some("3"));
        assert_eq!(view.hidden(), [("B".to_owned(), "list it")]);
        let view = View::new(&environment, &HostEnvironment::All);
        assert_eq!(view.lookup("B").as_deref(), Some("2"));
    }
}
