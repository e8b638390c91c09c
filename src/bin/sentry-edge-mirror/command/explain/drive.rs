//! One request through the real core: the host around it is this file. Time is virtual, every call is answered at once with
//! 200, nothing leaves.

use super::super::find::Plugin;
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::drive::{Driver, Header, Passing};
use sentry_edge_mirror::host::HostKind;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Kind, PREFIX, Series};
use sentry_edge_mirror::time::Millis;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request as the proxy would see it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) peer: Option<SocketAddr>,
}

impl Request {
    /// As the module gets it: Envoy has completed the chain of addresses before any filter runs, where it is told to.
    pub(super) fn as_received(&self, plugin: &Plugin, config: &Config) -> Self {
        let mut request = self.clone();
        let completes = plugin.appends_peer.unwrap_or(true) && config.host == HostKind::Envoy;
        let is_chain = |name: &str| name.eq_ignore_ascii_case("x-forwarded-for");
        let mut headers = request.headers.iter_mut().rev();
        if let Some(peer) = self.peer.filter(|_| completes)
            && let Some((_, chain)) = headers.find(|(name, _)| is_chain(name))
        {
            chain.push_str(&format!(",{}", peer.ip()));
        }
        // To Envoy's filters the host is a pseudo header.
        if config.host == HostKind::Envoy
            && let Some((name, _)) = request.headers.iter_mut().find(|(name, _)| is_host(name))
        {
            ":authority".clone_into(name);
        }
        request
    }
}

/// A call that would leave, or a request that goes on as the copy.
#[derive(Debug)]
pub(super) struct Sent {
    /// `None`: the request itself, where the proxy's route leads.
    pub(super) upstream: Option<String>,
    /// On nginx; in Envoy the cluster decides.
    pub(super) scheme: Option<String>,
    /// Names and values, pseudo headers first.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout_ms: u32,
}

/// Everything that the core did.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) calls: Vec<Sent>,
    /// Counters by name, without the prefix.
    pub(super) counters: BTreeMap<String, i64>,
    /// Warnings and errors of the log.
    pub(super) log: Vec<String>,
    /// Mode `rewrite`: it is answered with 204 when it is complete.
    pub(super) answered: bool,
}

impl Trace {
    /// Puts something else in place of these texts, in what is shown of the calls.
    pub(super) fn hide(&mut self, texts: &[String], instead: &str) {
        let headers = self.calls.iter_mut().flat_map(|call| &mut call.headers);
        for (_, value) in headers {
            for text in texts {
                *value = value.replace(text, instead);
            }
        }
    }
}

/// Longer than anything waits before its first attempt.
const WATCHED_MS: u64 = 60_000;

/// The clock, since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since_epoch.map_or(0, |passed| passed.as_millis());
    u64::try_from(ms).unwrap_or_default()
}

/// Lets the core handle a request.
pub(super) fn drive(config: Config, request: &Request) -> Trace {
    let nginx = config.host == HostKind::Nginx;
    let version = env!("EDGE_MIRROR_VERSION");
    let mut driver = Driver::new(config, Millis(now_ms()), version);
    let mut trace = Trace::default();
    let mut passing = arriving(request);
    let has_body = !request.body.is_empty();
    passing.headers(&mut driver, !has_body);
    if has_body {
        passing.piece(&mut driver, &request.body, true);
    }
    trace.answered = passing.stream.answered.is_some();
    if passing.stream.goes_on && passing.stream.headers != arriving(request).stream.headers {
        trace.calls.push(in_place(&passing, request));
    }
    let status = (b":status".to_vec(), b"200".to_vec());
    passing.respond(&mut driver, vec![status]);
    passing.gone(&mut driver);
    answer_all(&mut driver, &mut trace, nginx);
    driver.advance(WATCHED_MS, |driver| answer_all(driver, &mut trace, nginx));
    // Counters that nobody is in a hurry for are published now.
    driver.drain();
    answer_all(&mut driver, &mut trace, nginx);
    let series = driver.worker.legs().flat_map(Series::of);
    let counters = series.filter(|series| series.metric.kind() == Kind::Counter);
    let counters: BTreeSet<String> = counters.map(Series::name).collect();
    for (name, count) in std::mem::take(&mut driver.written.metrics) {
        if counters.contains(&name) {
            let name = name.strip_prefix(PREFIX).unwrap_or(&name);
            trace.counters.insert(name.to_owned(), count);
        }
    }
    let log = std::mem::take(&mut driver.written.log).into_iter();
    let log = log.filter(|(level, _)| matches!(level, Level::Warn | Level::Error));
    trace.log = log.map(|(_, line)| line).collect();
    trace
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

fn arriving(request: &Request) -> Passing {
    let pseudo = [(":method", &request.method), (":path", &request.target)];
    let named = pseudo.map(|(name, value)| (name.as_bytes().to_vec(), value.clone().into_bytes()));
    let own = |pseudo: bool| {
        let own = request.headers.iter();
        let own = own.filter(move |(name, _)| name.starts_with(':') == pseudo);
        own.map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
    };
    let headers = named.into_iter().chain(own(true)).chain(own(false));
    let mut passing = Passing::new(1, headers.collect());
    passing.stream.peer = request.peer.map(|peer| peer.to_string().into_bytes());
    passing
}

/// Answers every call with 200, and those that follow.
fn answer_all(driver: &mut Driver, trace: &mut Trace, nginx: bool) {
    loop {
        let calls = std::mem::take(&mut driver.written.calls);
        if calls.is_empty() {
            return;
        }
        for call in calls {
            driver.answer(call.token, Some(200), &|_| None, b"");
            trace.calls.push(Sent {
                upstream: Some(call.upstream),
                scheme: nginx.then_some(call.scheme),
                headers: call.headers.iter().map(text).collect(),
                body: call.body,
                timeout_ms: call.timeout_ms,
            });
        }
    }
}

fn in_place(passing: &Passing, request: &Request) -> Sent {
    Sent {
        upstream: None,
        scheme: None,
        headers: passing.stream.headers.iter().map(text).collect(),
        body: request.body.clone(),
        timeout_ms: 0,
    }
}

fn text((name, value): &Header) -> (String, String) {
    (lossy(name), lossy(value))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
