//! The SLS leg's half of the book: which logs were made of what went in, in which write each of them travels, and what
//! became of it.
//!
//! Looser than the copies' [`Model`](super::model::Model), because batches are made inside: a log is known by the text
//! that its envelope gave it, an envelope that nobody can read gives one that is only counted. A write whose answer is
//! overdue may be given up at any moment: then both is right, waiting and not waiting.

use super::log_group::parse;
use super::metadata::{self, Answer, KEY, Keys, TOKEN};
use super::model::Rules;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::sls::record::{Context, Options, records};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// Stands under a sensitive key in every event, and in nothing that leaves for SLS.
pub const PASSWORD: &str = "pa55w0rd";
pub const UPSTREAM: &str = "sls.test:443";

/// How the leg is configured.
#[derive(Clone, Copy, Debug)]
pub struct LogRules {
    /// The key comes from the metadata service.
    pub ram_role: bool,
    pub v4: bool,
    pub compression: &'static str,
    pub max_bytes: usize,
    pub max_logs: usize,
    pub linger: u64,
}

impl LogRules {
    pub fn json(&self, timeout: u64) -> String {
        let credential = Keys::json(self.ram_role);
        let signature = if self.v4 {
            r#""signature": "v4", "region": "cn-test""#
        } else {
            r#""signature": "v1""#
        };
        let Self {
            compression,
            max_bytes,
            max_logs,
            linger,
            ..
        } = self;
        format!(
            r#""sls": {{"upstream": "{UPSTREAM}", "endpoint": "cn-test.log.aliyuncs.com", "project": "proj", "logstore": "store",
                "credential": {credential}, {signature}, "compression": "{compression}", "timeout_ms": {timeout},
                "batch": {{"max_bytes": {max_bytes}, "max_logs": {max_logs}, "linger_ms": {linger}}}}},"#
        )
    }
}

/// A call that may still be waited for.
#[derive(Debug)]
enum Out {
    Write { names: Vec<String>, logs: i64 },
    Metadata { path: String },
}

#[derive(Debug)]
pub struct Logs {
    pub rules: LogRules,
    max_in_flight: usize,
    timeout: u64,
    /// nginx always tells how a call ended.
    tells: bool,
    out: BTreeMap<u32, (Out, u64)>,
    taken: BTreeSet<String>,
    keys: Keys,
    leaving: Option<Out>,
    /// What the counters must come to.
    pub delivered: i64,
    pub attempts: i64,
    pub bytes: i64,
    /// Logs that all envelopes would give, and how many of these cannot be read.
    pub made: i64,
    pub malformed: i64,
}

impl Logs {
    pub fn new(rules: LogRules, all: &Rules) -> Self {
        Self {
            rules,
            max_in_flight: all.max_in_flight,
            timeout: all.timeout,
            tells: !all.envoy,
            out: BTreeMap::new(),
            taken: BTreeSet::new(),
            keys: Keys::new(rules.ram_role),
            leaving: None,
            delivered: 0,
            attempts: 0,
            bytes: 0,
            made: 0,
            malformed: 0,
        }
    }

    /// An envelope is complete.
    pub fn captured(&mut self, body: &[u8]) {
        let context = Context {
            project_id: "42",
            app_id: None,
            received_ms: 0,
            options: Options::default(),
        };
        let summary = records(body, &context, &mut |_| {});
        self.made += i64::try_from(summary.records + summary.left_out).unwrap();
        self.malformed += i64::from(summary.malformed.is_some());
    }

    /// Calls that are surely waited for.
    fn waiting(&self, now: u64) -> impl Iterator<Item = &Out> {
        let out = self.out.values();
        out.filter(move |(_, deadline)| now < *deadline)
            .map(|(out, _)| out)
    }

    pub fn calls_waiting(&self, now: u64) -> usize {
        self.waiting(now).count()
    }

    /// How many writes are in flight, at least and at most.
    pub fn in_flight(&self, now: u64) -> [i64; 2] {
        let is_write = |out: &&Out| matches!(out, Out::Write { .. });
        let least = self.waiting(now).filter(is_write).count();
        let most = self
            .out
            .values()
            .map(|(out, _)| out)
            .filter(is_write)
            .count();
        [least, most].map(|count| i64::try_from(count).unwrap())
    }

    /// Tokens of calls without an answer.
    pub fn tokens(&self) -> Vec<u32> {
        self.out.keys().copied().collect()
    }

    pub fn is_metadata(&self, token: u32) -> bool {
        matches!(self.out.get(&token), Some((Out::Metadata { .. }, _)))
    }

    pub fn dispatched(&mut self, call: &Call<'_>, now: u64) {
        let header = |name: &str| {
            let value = call.headers.get(name.as_bytes());
            value.map(|value| std::str::from_utf8(value).unwrap())
        };
        for (name, value) in call.headers.iter() {
            let value = std::str::from_utf8(value).unwrap();
            assert!(
                !value.contains(KEY) && !value.contains(['\r', '\n', '\0']),
                "{name:?}"
            );
            let own = [&b"x-acs-security-token"[..], b"x-aliyun-ecs-metadata-token"];
            assert!(own.contains(&name) || !value.contains(TOKEN), "{name:?}");
        }
        if call.upstream == metadata::UPSTREAM {
            assert!(self.rules.ram_role && call.body.is_empty());
            let path = header(":path").unwrap().to_owned();
            let lookups = self
                .waiting(now)
                .filter(|out| matches!(out, Out::Metadata { .. }));
            assert_eq!(lookups.count(), 0, "one request for a credential at a time");
            self.leaving = Some(Out::Metadata { path });
            return;
        }
        assert_eq!(call.upstream, UPSTREAM);
        assert_eq!(u64::from(call.timeout_ms), self.timeout);
        let [least, _] = self.in_flight(now);
        assert!(
            usize::try_from(least).unwrap() < self.max_in_flight,
            "{least} writes are in flight"
        );
        let authorization = header("authorization").unwrap();
        assert!(
            self.keys.covers(authorization, now),
            "signed with what nobody gave, or what is over"
        );
        let raw = unpack(call.body, header("x-log-compresstype"));
        assert_eq!(
            Some(raw.len().to_string().as_str()),
            header("x-log-bodyrawsize")
        );
        let text = String::from_utf8_lossy(&raw);
        assert!(!text.contains(PASSWORD) && !text.contains(KEY) && !text.contains(TOKEN));
        let (logs, _) = parse(&raw);
        let rules = &self.rules;
        assert!(
            !logs.is_empty() && logs.len() <= rules.max_logs,
            "{} logs",
            logs.len()
        );
        let contents = logs.iter().flat_map(|(_, contents)| contents);
        let names = contents.filter_map(|(_, value)| value.strip_prefix("log#"));
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        for name in &names {
            assert!(
                !self.taken.contains(name),
                "log {name} is written after its end"
            );
            let elsewhere = self.waiting(now).any(|out| match out {
                Out::Write { names, .. } => names.contains(name),
                Out::Metadata { .. } => false,
            });
            assert!(!elsewhere, "log {name} is written while it is in flight");
        }
        self.attempts += 1;
        self.bytes += i64::try_from(call.body.len()).unwrap();
        self.leaving = Some(Out::Write {
            names: names.into_iter().collect(),
            logs: i64::try_from(logs.len()).unwrap(),
        });
    }

    pub fn taken_by_host(&mut self, token: u32, now: u64) {
        let out = self.leaving.take().unwrap();
        let wait = match out {
            Out::Write { .. } if self.tells => u64::MAX,
            Out::Write { .. } => self.timeout + Rules::GRACE,
            Out::Metadata { .. } => 2_000 + Rules::GRACE,
        };
        // An answer that comes too late for the first request is none of the second: the newest counts.
        if let Out::Metadata { .. } = out {
            self.out
                .retain(|_, (out, _)| matches!(out, Out::Write { .. }));
        }
        self.out.insert(token, (out, now.saturating_add(wait)));
    }

    pub fn refused_by_host(&mut self) {
        self.leaving = None;
    }

    /// Whether the answer may be, and whether it must be, one that the leg waits for.
    pub fn check_waits(&self, token: u32, waits: bool, now: u64, gone: bool) {
        match self.out.get(&token) {
            Some((_, deadline)) => assert!(
                waits || gone || *deadline <= now,
                "call {token} was forgotten"
            ),
            None => assert!(!waits, "nobody calls {token}"),
        }
    }

    /// The answer to a call that is waited for.
    pub fn answered(&mut self, token: u32, taken: bool) {
        if let Some((Out::Write { names, logs }, _)) = self.out.remove(&token)
            && taken
        {
            self.delivered += logs;
            self.taken.extend(names);
        }
    }

    /// An answer that came too late.
    pub fn forgotten(&mut self, token: u32) {
        self.out.remove(&token);
    }

    /// The metadata service's answer, as status, Date and body.
    pub fn metadata(
        &mut self,
        token: u32,
        answer: Answer,
        now: u64,
    ) -> (Option<u16>, &'static str, Vec<u8>) {
        match self.out.get(&token) {
            Some((Out::Metadata { path }, _)) => self.keys.answer(path, answer, now),
            _ => (Some(200), "", Vec::new()),
        }
    }
}

fn unpack(body: &[u8], compression: Option<&str>) -> Vec<u8> {
    match compression {
        None => body.to_vec(),
        // No log group of these tests is larger.
        Some("lz4") => lz4_flex::block::decompress(body, 1 << 20).unwrap(),
        Some("deflate") => {
            let mut raw = Vec::new();
            flate2::read::ZlibDecoder::new(body)
                .read_to_end(&mut raw)
                .unwrap();
            raw
        }
        Some(other) => panic!("{other}"),
    }
}
