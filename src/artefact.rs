//! The artefacts of one build: the same code with different entry points, see src/proxy/exports.txt.
//!
//! A proxy pays for each callback that a module exports. Envoy skips missing ones; ngx_wasm_module calls some of them without
//! checking, and crashes its worker. So each proxy has its own artefact, and the module reports if it is the wrong one.

use crate::config::{Config, ConfigError, Mode, Role};
use crate::host::HostKind;

/// Which of the artefacts a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// Not finished: it has every entry point, including the SDK's.
    Any,
    /// `sentry_edge_mirror.wasm`, for Envoy.
    Envoy,
    /// `sentry_edge_mirror_nginx.wasm`
    Nginx,
    /// `sentry_edge_mirror_shadow.wasm`, for Envoy: only mode `rewrite` as an upstream filter.
    Shadow,
}

/// The length of the text that tells a module which artefact it is; `make build` puts the artefact into it.
pub const TEXT_BYTES: usize = 34;
/// That text before `make build` changes it.
pub const TEXT: [u8; TEXT_BYTES] = *b"sentry-edge-mirror artefact=any   ";

impl Artefact {
    /// The artefact that the text names.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let name = text.rsplit(|byte| *byte == b'=').next();
        match name.unwrap_or_default().trim_ascii_end() {
            b"envoy" => Self::Envoy,
            b"nginx" => Self::Nginx,
            b"shadow" => Self::Shadow,
            _ => Self::Any,
        }
    }

    /// Its file name.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Any | Self::Envoy => "sentry_edge_mirror.wasm",
            Self::Nginx => "sentry_edge_mirror_nginx.wasm",
            Self::Shadow => "sentry_edge_mirror_shadow.wasm",
        }
    }

    /// The artefact for a configuration that the shadow artefact cannot serve.
    fn for_host(host: HostKind) -> Self {
        match host {
            HostKind::Envoy => Self::Envoy,
            HostKind::Nginx => Self::Nginx,
        }
    }

    /// Checks that it can do what the configuration asks for in this proxy.
    ///
    /// # Errors
    /// It lacks required entry points.
    pub fn check(self, role: &Role, proxy: HostKind) -> Result<(), ConfigError> {
        let right = Self::for_host(proxy);
        let is_right = match self {
            Self::Any | Self::Nginx => true,
            Self::Envoy => right == Self::Envoy,
            Self::Shadow => match role {
                Role::Main(config) => right == Self::Envoy && only_rewrites(config),
                Role::Lane(_) => false,
            },
        };
        if is_right {
            return Ok(());
        }
        let limits = match self {
            Self::Shadow => "mode rewrite in Envoy, without sls and fast_ack",
            _ => "Envoy",
        };
        let (own, right) = (self.file(), right.file());
        let message = format!("{own} is for {limits} only: use {right}");
        Err(ConfigError::one("", message))
    }

    /// What it costs compared with another artefact.
    #[must_use]
    pub fn warning(self, proxy: HostKind) -> Option<String> {
        let right = Self::for_host(proxy);
        (self == Self::Nginx && right != self).then(|| {
            let (own, right) = (self.file(), right.file());
            format!("{own} costs more per request in Envoy than {right}")
        })
    }
}

fn only_rewrites(config: &Config) -> bool {
    config.mode == Mode::Rewrite { fast_ack: false } && config.sls.is_none()
}

#[cfg(test)]
mod tests {
    use super::{Artefact, TEXT};
    use crate::config::Role;
    use crate::host::HostKind;

    #[test]
    fn the_text_says_which_one_it_is() {
        let with = |name: &str| {
            let text = String::from_utf8(TEXT.to_vec()).unwrap();
            Artefact::of(text.replace("any   ", name).as_bytes())
        };
        assert_eq!(with("any   "), Artefact::Any);
        assert_eq!(with("envoy "), Artefact::Envoy);
        assert_eq!(with("nginx "), Artefact::Nginx);
        assert_eq!(with("shadow"), Artefact::Shadow);
    }

    #[test]
    fn what_lacks_an_entry_point_says_which_file_has_it() {
        let role = |extra: &str| {
            let json = format!(
                r#"{{"rum": {{"authority": "rum.example.com", "default": {{"workspace": "w", "service_id": "s"}}}}, {extra}}}"#
            );
            Role::parse(json.as_bytes(), &|_| None).unwrap()
        };
        let rewrite = r#""mode": "rewrite""#;
        let told = |artefact: Artefact, extra: &str, proxy| {
            let checked = artefact.check(&role(extra), proxy);
            checked.map_err(|error| error.problems[0].message.clone())
        };
        assert_eq!(told(Artefact::Shadow, rewrite, HostKind::Envoy), Ok(()));
        assert_eq!(told(Artefact::Nginx, rewrite, HostKind::Envoy), Ok(()));
        assert!(Artefact::Nginx.warning(HostKind::Envoy).is_some());
        let nginx = r#""host": "nginx", "mode": "rewrite""#;
        assert_eq!(told(Artefact::Nginx, nginx, HostKind::Nginx), Ok(()));
        assert_eq!(
            told(Artefact::Envoy, nginx, HostKind::Nginx),
            Err(
                "sentry_edge_mirror.wasm is for Envoy only: use sentry_edge_mirror_nginx.wasm"
                    .to_owned()
            )
        );
        let logs = r#""mode": "rewrite", "sls": {"upstream": "sls", "endpoint": "cn-test.log.aliyuncs.com", "project": "proj", "logstore": "store",
            "credential": {"access_key_id": "i", "access_key_secret": "s"}}"#;
        assert_eq!(
            told(Artefact::Shadow, logs, HostKind::Envoy),
            Err("sentry_edge_mirror_shadow.wasm is for mode rewrite in Envoy, without sls and fast_ack only: use sentry_edge_mirror.wasm".to_owned())
        );
    }
}
