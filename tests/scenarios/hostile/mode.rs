//! What the module can be asked to do: its configuration, traffic for it, and what must hold of what went on.

use super::chance::ROLE_KEY;
use crate::edge::rewriting;
use crate::edge::{Edge, PUBLISH_MS, config, for_host};
use crate::module::Module;
use crate::seen::sign_books;
use crate::sls;
use oracles::random::Random;
use test_host::{Call, Exchange, Guest, Host, Options, Profile, Reply, Request, StartError};

const METADATA: &str = "metadata.test:80";
const LIMITS: &str =
    r#", "limits": {"max_pending_bytes": 60000, "max_in_flight": 5, "max_body_bytes": 4000}"#;
const SMALL: &str = r#", "batch": {"max_logs": 3, "linger_ms": 500}"#;

/// More than a request callback hashes of v4.
const LARGE: usize = 130_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Rum,
    Both,
    /// Logs only, with a RAM role's credential.
    Role,
    Rewrite,
    RewriteWithLogs,
    FastAck,
    Sign,
    /// v4, and bodies that are hashed in ticks.
    SignWithRole,
}

/// Every mode in every host that has it.
pub const EVERYWHERE: [(Mode, Profile); 12] = [
    (Mode::Rum, Profile::Envoy),
    (Mode::Rum, Profile::Nginx),
    (Mode::Both, Profile::Envoy),
    (Mode::Both, Profile::Nginx),
    (Mode::Role, Profile::Envoy),
    (Mode::Role, Profile::Nginx),
    (Mode::Rewrite, Profile::Envoy),
    (Mode::Rewrite, Profile::Nginx),
    (Mode::RewriteWithLogs, Profile::Envoy),
    (Mode::FastAck, Profile::Envoy),
    (Mode::Sign, Profile::Envoy),
    (Mode::SignWithRole, Profile::Envoy),
];

impl Mode {
    pub fn start(self, profile: Profile) -> Module {
        let host = Host::new(profile, Guest::sentry_edge_mirror(), self.options(profile));
        Module::from_host(host)
    }

    /// May fail; the options are those of the mode, and more.
    pub fn try_start(self, profile: Profile, options: Options) -> Result<Module, StartError> {
        Host::try_new(profile, Guest::sentry_edge_mirror(), options).map(Module::from_host)
    }

    pub fn options(self, profile: Profile) -> Options {
        Options {
            // As nginx does, see the module's one call at a time.
            enforce_timeouts: profile == Profile::Nginx,
            allow_on_headers_stop_iteration: self.holds(),
            target_variable: self.rewrites().then(|| "sentry_edge_mirror".into()),
            ..Options::new(self.config_for(profile))
        }
    }

    pub fn config_for(self, profile: Profile) -> String {
        for_host(profile, &self.config())
    }

    fn config(self) -> String {
        let role = format!(r#""credential": {{"ecs_ram_role": {{"upstream": "{METADATA}"}}}}"#);
        let key =
            r#""credential": {"access_key_id": "edge-id", "access_key_secret": "edge-secret"}"#;
        let sign = |sls: &str, limits: &str| {
            format!(
                r#"{{"host": "HOST", "mode": "sign", "sign": {{"logstores": ["store"]}},
                    "sls": {{"endpoint": "cn-test.log.aliyuncs.com", "project": "proj", {sls}}},
                    "limits": {{{limits}}}}}"#
            )
        };
        match self {
            Self::Rum => config(LIMITS),
            Self::Both => config(&format!(", {} {LIMITS}", sls::section(SMALL))),
            Self::Role => {
                let section = sls::section_with(&role, SMALL);
                format!(r#"{{"host": "HOST", {section} {LIMITS}}}"#)
            }
            Self::Rewrite => rewriting(LIMITS),
            Self::RewriteWithLogs => rewriting(&format!(", {} {LIMITS}", sls::section(SMALL))),
            Self::FastAck => config(&format!(
                r#", "mode": "rewrite", "fast_ack": true {LIMITS}"#
            )),
            Self::Sign => sign(key, r#""max_pending_bytes": 80000, "max_body_bytes": 4000"#),
            Self::SignWithRole => {
                let v4 = format!(r#"{role}, "signature": "v4", "region": "cn-test""#);
                let limits = r#""max_pending_bytes": 800000, "max_body_bytes": 200000"#;
                sign(&v4, limits)
            }
        }
    }

    pub fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::SignWithRole)
    }

    pub fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithLogs | Self::FastAck)
    }

    /// It may hold a request back, or answer it.
    pub fn holds(self) -> bool {
        self.signs() || self.rewrites()
    }

    pub fn has_rum(self) -> bool {
        !self.signs() && self != Self::Role
    }

    pub fn has_logs(self) -> bool {
        matches!(self, Self::Both | Self::Role | Self::RewriteWithLogs)
    }

    /// One that the module has to do with.
    pub fn ordinary(self, profile: Profile) -> Request {
        let request = match self {
            _ if self.signs() => Request::post("/logstores/store").chunk(b"body"),
            _ => crate::edge::envelope(42),
        };
        self.arriving(profile, request)
    }

    /// One that is too large for one callback, if the mode has any such.
    pub fn large(self) -> Option<Request> {
        let body = vec![b'x'; LARGE];
        (self == Self::SignWithRole).then(|| Request::post("/logstores/store").chunk(body))
    }

    /// The metadata service answers, so that there is a key. Gives the other calls.
    pub fn fetch_keys(self, edge: &mut Module) -> Vec<Call> {
        let mut others = Vec::new();
        loop {
            let calls = edge.calls();
            if calls.is_empty() {
                return others;
            }
            for call in calls {
                if call.upstream != METADATA {
                    others.push(call);
                    continue;
                }
                let body = match call.path() {
                    path if path.ends_with("/token") => "token",
                    path if path.ends_with("/edge-role") => ROLE_KEY,
                    _ => "edge-role",
                };
                edge.reply(call.token, &Reply::status(200).body(body));
            }
            edge.advance(5);
        }
    }

    /// One that it has to refuse, or to leave alone.
    pub fn unwanted(self, profile: Profile) -> Request {
        let target = if self.signs() {
            "/logstores/other"
        } else {
            "/other"
        };
        self.arriving(profile, Request::post(target).chunk(b"body"))
    }

    fn arriving(self, profile: Profile, request: Request) -> Request {
        // nginx mirrors to an internal location.
        match profile {
            Profile::Nginx if self.rewrites() => request.mirrored_to("/_mirror"),
            _ => request,
        }
    }

    pub fn request(self, profile: Profile, random: &mut Random) -> Request {
        let target = random.pick(if self.signs() {
            &[
                "/logstores/store",
                "/logstores/store/shards/lb",
                "/logstores/store/shards/route?key=k",
                "/logstores/other",
                "/",
                "",
            ][..]
        } else {
            &[
                "/api/42/envelope/",
                "/api/43/envelope/?sentry_key=k",
                "/api/7/envelope/",
                "/api/42/store/",
                "/rum/sentry/a/b/api/42/envelope/",
                "/",
                "",
            ]
        });
        let method = random.pick(&["POST", "POST", "POST", "GET", "", "OPTIONS"]);
        let mut request = Request::new(method, target);
        for _ in 0..random.below(6) {
            let name = random.pick(&[
                "content-length",
                "x-forwarded-for",
                "content-encoding",
                "content-type",
                "x-sentry-auth",
                "x-log-bodyrawsize",
                "x-log-compresstype",
                "user-agent",
            ]);
            request = request.header(name, random.bytes(40));
        }
        if random.below(2) == 0 {
            request = request.header("cookie", "theirs");
            request = request.header("authorization", "Bearer theirs");
        }
        let small = usize::try_from(random.below(2_000) + 1).unwrap();
        let body = match random.below(3) {
            0 => random.bytes(5_000),
            1 if self == Self::SignWithRole => vec![b'x'; LARGE],
            1 => Vec::new(),
            // One that becomes logs.
            _ => b"{}\n{\"type\":\"event\"}\n{\"message\":\"m\"}\n{\"type\":\"log\"}\n{\"items\":[{},{}]}\n".to_vec(),
        };
        // In one piece, or the pieces are small ones.
        let size = if body.len() == LARGE { LARGE } else { small };
        self.arriving(profile, request.body_in(&body, size))
    }

    /// Does the target get to answer what this stream has sent so far?
    pub fn has_left(self, so_far: &Exchange) -> bool {
        !self.holds() || so_far.upstream.headers.is_some()
    }

    /// `honest`: the host may fail, and does not give one thing for another.
    pub fn check_exchange(self, exchange: &Exchange, honest: bool) {
        let Some(headers) = &exchange.upstream.headers else {
            assert!(self.holds(), "{exchange:#?}");
            return;
        };
        if !self.holds() {
            return exchange.assert_untouched();
        }
        let all = |name: &'static str| headers.all(name.as_bytes()).collect::<Vec<_>>();
        if self.signs() {
            let [signature] = all("authorization")[..] else {
                panic!("not signed: {exchange:#?}");
            };
            let ours: &[u8] = match self {
                Self::SignWithRole => b"SLS4-HMAC-SHA256 Credential=edge-id/",
                _ => b"LOG edge-id:",
            };
            assert!(signature.starts_with(ours), "{headers:?}");
            return;
        }
        let path = headers.text(":path").unwrap_or_default();
        assert!(path.starts_with("/rum/sentry/ws/"), "{headers:?}");
        if honest {
            for name in ["cookie", "authorization"] {
                assert!(
                    all(name).iter().all(|value| value.is_empty()),
                    "{headers:?}"
                );
            }
        }
    }

    /// The books of what there is; gives what they still wait for.
    pub fn check_books(self, edge: &mut Module) -> i64 {
        let mut pending = 0;
        if self.has_rum() {
            edge.check_books();
            pending += edge.rum("pending");
        }
        if self.has_logs() {
            let [.., logs] = edge.logs();
            pending += logs + edge.sls("queued");
        }
        if self.signs() {
            edge.advance(PUBLISH_MS);
            pending +=
                sign_books(|what| edge.metric(&format!("sentry_edge_mirror.sign.{what}"))).open;
        }
        pending
    }
}
