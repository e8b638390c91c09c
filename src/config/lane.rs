//! nginx: the role of a root context, and the configuration of those that are lanes: `{"host": "nginx", "lane": 1}`.

use super::node::{self, Node};
use super::reader::{Field, Object, Problem, Reader};
use super::{Config, ConfigError, HostKind};

/// More calls at a time, or lanes, than anybody wants in one worker: each costs a timer.
const MAX_LANES: u64 = 64;

/// The role that a configuration gives its root context.
#[derive(Clone, Debug)]
pub enum Role {
    /// It mirrors, or signs.
    Main(Box<Config>),
    /// nginx: it makes calls for the others. Its number.
    Lane(u8),
}

impl Role {
    /// Reads a configuration: JSON, or the bytes of a `google.protobuf.Struct`. `lookup` is the environment.
    ///
    /// # Errors
    /// Returns every problem at once.
    pub fn parse(
        bytes: &[u8],
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let node = node::parse(bytes).map_err(|error| {
            let message = format!("expected a JSON object, got a syntax error: {error}");
            ConfigError::one("", message)
        })?;
        let mut reader = Reader::new(lookup);
        let role = Self::read(&mut reader, &node);
        let problems = reader.into_problems();
        match role {
            Some(role) if problems.is_empty() => Ok(role),
            _ => Err(ConfigError { problems }),
        }
    }

    /// Checks that the configuration is for the proxy that runs the module: under the other proxy's rules every request would
    /// trap.
    ///
    /// # Errors
    /// It is for another proxy.
    pub fn running_in(self, proxy: HostKind) -> Result<Self, ConfigError> {
        let host = self.host();
        if host == proxy {
            return Ok(self);
        }
        let (proxy, host) = (proxy.name(), host.name());
        let message = format!("expected {proxy}, which is the proxy here, got {host}");
        Err(ConfigError::one("host", message))
    }

    /// Checks that it is none of the `lanes` that the instance's other root contexts are.
    ///
    /// # Errors
    /// Another root context is this lane.
    pub fn beside(self, lanes: &[u8]) -> Result<Self, ConfigError> {
        match self {
            Self::Lane(number) if lanes.contains(&number) => {
                let message = format!("another location is lane {number} already, got {number}");
                Err(ConfigError::one("lane", message))
            }
            role => Ok(role),
        }
    }

    /// The proxy it is for.
    #[must_use]
    pub fn host(&self) -> HostKind {
        match self {
            Self::Main(config) => config.host,
            Self::Lane(_) => HostKind::Nginx,
        }
    }

    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let path = String::new();
        let mut root = reader.object(&Field { path, node })?;
        let host = match root.take("host") {
            Some(field) => {
                let hosts = [HostKind::Envoy, HostKind::Nginx].map(|host| (host.name(), host));
                reader.choice(&field, &hosts)
            }
            None => Some(HostKind::Envoy),
        };
        match root.take_foreign("lane") {
            Some(field) => read(reader, &field, root, host).map(Self::Lane),
            None => Config::read(reader, root, host).map(|config| Self::Main(Box::new(config))),
        }
    }
}

fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    mut root: Object<'_>,
    host: Option<HostKind>,
) -> Option<u8> {
    only_nginx(reader, field, host);
    for (_, field) in root.take_all() {
        let what = format!(
            "a lane has its number and nothing else: the rest stands in the configuration that mirrors, got {}",
            field.node.kind()
        );
        reader.problem(&field.path, what);
    }
    let number = reader.integer(field, 1..=MAX_LANES)?;
    u8::try_from(number).ok()
}

/// Reads `lanes`: calls at a time, on nginx.
pub(super) fn count(
    reader: &mut Reader<'_>,
    root: &mut Object<'_>,
    host: Option<HostKind>,
) -> Option<u8> {
    let Some(field) = root.take("lanes") else {
        return Some(1);
    };
    only_nginx(reader, &field, host);
    let count = reader.integer(&field, 1..=MAX_LANES)?;
    u8::try_from(count).ok()
}

fn only_nginx(reader: &mut Reader<'_>, field: &Field<'_>, host: Option<HostKind>) {
    if host == Some(HostKind::Envoy) {
        let what = format!(
            "only nginx has lanes (host), Envoy bears limits.max_in_flight calls at a time, got {}",
            field.node
        );
        reader.problem(&field.path, what);
    }
}

impl ConfigError {
    pub(crate) fn one(path: &str, message: String) -> Self {
        Self {
            problems: vec![Problem {
                path: path.to_owned(),
                message,
                unset: None,
            }],
        }
    }

    pub(super) fn lane(number: u8) -> Self {
        let message = format!("expected a configuration that mirrors, got lane {number}");
        Self::one("lane", message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, HostKind, Role};

    fn parse(json: &str) -> Result<Role, Vec<String>> {
        Role::parse(json.as_bytes(), &|_| None)
            .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
    }

    fn problems(json: &str) -> Vec<String> {
        parse(json).unwrap_err()
    }

    fn main(host: &str, lanes: &str) -> String {
        format!(
            r#"{{"host": "{host}", {lanes} "rum": {{"upstream": "rum.test:80", "authority": "a"}}}}"#
        )
    }

    #[test]
    fn a_lane_is_its_number() {
        for number in [1, 64] {
            let role = parse(&format!(r#"{{"host": "nginx", "lane": {number}}}"#)).unwrap();
            assert!(matches!(role, Role::Lane(n) if n == number));
            assert!(role.clone().running_in(HostKind::Nginx).is_ok());
            let error = role.running_in(HostKind::Envoy).unwrap_err();
            assert_eq!(error.problems[0].path, "host");
        }
        let error = Config::parse(br#"{"host": "nginx", "lane": 1}"#, &|_| None).unwrap_err();
        assert_eq!(error.problems[0].path, "lane");
    }

    #[test]
    fn a_lane_is_nothing_else() {
        for (number, got) in [
            ("0", "0"),
            ("65", "65"),
            ("1.5", "1.5"),
            ("\"one\"", "\"one\""),
        ] {
            assert_eq!(
                problems(&format!(r#"{{"host": "nginx", "lane": {number}}}"#)),
                [format!("lane: expected an integer from 1 to 64, got {got}")]
            );
        }
        for host in ["", r#""host": "envoy", "#] {
            let problems = problems(&format!(r#"{{{host}"lane": 1}}"#));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("lane: only nginx has lanes"));
        }
        let more = r#"{"host": "nginx", "lane": 1, "lanes": 4, "sls": {"credential": "s3cr3t"}, "key": "s3cr3t"}"#;
        let problems = problems(more);
        let paths: Vec<&str> = problems
            .iter()
            .filter_map(|p| Some(p.split_once(": ")?.0))
            .collect();
        assert_eq!(paths, ["lanes", "sls", "key"], "{problems:?}");
        assert!(!problems.concat().contains("s3cr3t"));
    }

    #[test]
    fn the_main_configuration_says_how_many() {
        let lanes = |json: &str| match parse(json).unwrap() {
            Role::Main(config) => config.lanes,
            Role::Lane(_) => panic!("no lane"),
        };
        assert_eq!(lanes(&main("nginx", "")), 1);
        assert_eq!(lanes(&main("envoy", "")), 1);
        assert_eq!(lanes(&main("nginx", r#""lanes": 4,"#)), 4);
        assert_eq!(
            problems(&main("nginx", r#""lanes": 0,"#)),
            ["lanes: expected an integer from 1 to 64, got 0"]
        );
        let problems = problems(&main("envoy", r#""lanes": 4,"#));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("lanes: only nginx has lanes"));
    }
}
