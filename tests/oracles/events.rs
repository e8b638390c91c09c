//! What may happen to a worker, as data: the property tests and the fuzz target `plugin` make such lists, each with its own
//! engine, and run them here.

use super::metadata::Answer as Metadata;
use super::model::Meaning;
use super::worker::{Dispatch, Fill, JudgedWorker};
use sentry_edge_mirror::copies::reply::Reply;

/// What the target or the proxy says to a call.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Taken(u16),
    Throttled(Option<u32>),
    Unavailable(u16, Option<u32>),
    NoConnection,
    Broken,
    Late,
    Error(u16),
    Nothing,
    Refused(u16),
}

impl Answer {
    pub fn give(self, worker: &mut JudgedWorker, token: u32) {
        let seconds = match self {
            Self::Throttled(seconds) | Self::Unavailable(_, seconds) => seconds,
            _ => None,
        };
        let text = seconds.map(|seconds| seconds.to_string());
        let of_target = |status| Reply {
            status: Some(status),
            from_target: true,
            retry_after: text.as_ref().map(String::as_bytes),
            ..Reply::default()
        };
        let of_proxy = |status, body| Reply {
            status: Some(status),
            body,
            ..Reply::default()
        };
        let reply = match self {
            Self::Taken(status) | Self::Error(status) | Self::Refused(status) | Self::Unavailable(status, _) => of_target(status),
            Self::Throttled(_) => of_target(429),
            Self::NoConnection => of_proxy(503, b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"),
            Self::Broken => of_proxy(503, b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"),
            Self::Late => of_proxy(504, b"upstream request timeout"),
            Self::Nothing => Reply::default(),
        };
        let asked = u64::from(seconds.unwrap_or_default()) * 1_000;
        let whole_project = matches!(self, Self::Throttled(_));
        let meaning = match self {
            Self::Taken(_) => Meaning::Taken,
            Self::Throttled(_) | Self::Unavailable(..) | Self::NoConnection => Meaning::NotTaken {
                asked,
                whole_project,
            },
            Self::Broken | Self::Late | Self::Error(_) | Self::Nothing => Meaning::Unknown,
            Self::Refused(_) => Meaning::Refused,
        };
        worker.answer(token, &reply, meaning);
    }
}

/// What SLS, or the proxy in its place, says to a write.
#[derive(Clone, Copy, Debug)]
pub enum LogAnswer {
    Taken(u16),
    /// A status and one of [`CODES`], with a wish in seconds and a difference of the clocks in milliseconds.
    Error {
        status: u16,
        code: usize,
        wait: Option<u32>,
        clock: i32,
    },
    /// From a proxy: no request id.
    Proxy(u16),
    Garbage(u16),
    Nothing,
}

/// Codes of every decision.
pub const CODES: [&str; 16] = [
    "RequestTimeExpired",
    "RequestTimeTooSkewed",
    "PostBodyTooLarge",
    "PostBodyInvalid",
    "InvalidTimestamp",
    "SignatureNotMatch",
    "Unauthorized",
    "SecurityTokenExpired",
    "LogStoreNotExist",
    "ProjectNotExist",
    "WriteQuotaExceed",
    "ProjectForbidden",
    "MissingContentType",
    "ParameterInvalid",
    "ServerBusy",
    "NeverHeardOf",
];

impl LogAnswer {
    pub fn give(self, worker: &mut JudgedWorker, token: u32) {
        let id = ("x-log-requestid", "5D");
        match self {
            Self::Taken(status) => worker.answer_log(token, Some(status), &[id], b""),
            Self::Error {
                status,
                code,
                wait,
                clock,
            } => {
                let body = format!(
                    r#"{{"errorCode":"{}","errorMessage":"s3cr3t"}}"#,
                    CODES[code % CODES.len()]
                );
                let seconds = worker.clocks.wall.saturating_add_signed(i64::from(clock)) / 1_000;
                let (seconds, wait) = (seconds.to_string(), wait.map(|wait| wait.to_string()));
                let mut headers = vec![id, ("x-log-time", &seconds)];
                headers.extend(wait.as_ref().map(|wait| ("retry-after", wait.as_str())));
                worker.answer_log(token, Some(status), &headers, body.as_bytes());
            }
            Self::Proxy(status) => worker.answer_log(token, Some(status), &[], b"s3cr3t"),
            Self::Garbage(status) => {
                let headers = [id, ("x-log-time", "s3cr3t"), ("retry-after", "-1")];
                worker.answer_log(token, Some(status), &headers, b"{\"errorCode\":\xff");
            }
            Self::Nothing => worker.answer_log(token, None, &[], b""),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A whole request in one piece.
    Request {
        project: u64,
        size: usize,
    },
    Begin {
        project: u64,
        announced: Option<u64>,
        odd_header: bool,
    },
    Other(&'static str),
    Chunk {
        which: usize,
        size: usize,
        fill: Fill,
    },
    End(usize),
    Abort(usize),
    Answer {
        which: usize,
        answer: Answer,
    },
    /// An answer that nobody waits for.
    Stray {
        token: u32,
        answer: Answer,
    },
    /// What SLS says to a write.
    Log {
        which: usize,
        answer: LogAnswer,
    },
    /// What the metadata service says.
    Metadata {
        which: usize,
        answer: Metadata,
    },
    /// The listener goes away.
    Drain,
    /// What the host does with the next dispatches.
    Dispatches(Vec<Dispatch>),
    RefuseTick,
    Tick,
    Pass(u64),
    /// The wall clock moves by so much.
    Jump(i64),
    /// The wall clock is set.
    Set(u64),
}

pub fn run(worker: &mut JudgedWorker, events: &[Event]) {
    for event in events {
        // The host deletes the root context: nothing happens to it any more.
        if worker.is_done() {
            return;
        }
        match event {
            Event::Request { project, size } => {
                let open = worker.open();
                worker.begin(*project, Some(*size as u64), false);
                if worker.open() > open {
                    worker.chunk(open, *size, Fill::Whole);
                }
                if worker.open() > open {
                    worker.end(open);
                }
            }
            Event::Begin {
                project,
                announced,
                odd_header,
            } => worker.begin(*project, *announced, *odd_header),
            Event::Other(target) => worker.other(target),
            Event::Chunk { which, size, fill } => worker.chunk(*which, *size, *fill),
            Event::End(which) => worker.end(*which),
            Event::Abort(which) => worker.abort(*which),
            Event::Answer { which, answer } => {
                let tokens = worker.tokens();
                if !tokens.is_empty() {
                    answer.give(worker, tokens[which % tokens.len()]);
                }
            }
            Event::Stray { token, answer } => answer.give(worker, *token),
            Event::Log { which, answer } => {
                let tokens = worker.log_tokens();
                if !tokens.is_empty() {
                    answer.give(worker, tokens[which % tokens.len()]);
                }
            }
            Event::Metadata { which, answer } => {
                let tokens = worker.log_tokens();
                if !tokens.is_empty() {
                    worker.answer_metadata(tokens[which % tokens.len()], *answer);
                }
            }
            Event::Drain => worker.drain(),
            Event::Dispatches(dispatches) => worker.dispatches.extend(dispatches),
            Event::RefuseTick => worker.refuse_tick = true,
            Event::Tick => worker.tick_now(),
            Event::Pass(ms) => worker.pass(*ms),
            Event::Jump(ms) => {
                worker.clocks.wall = worker.clocks.wall.saturating_add_signed(*ms);
            }
            Event::Set(wall) => worker.clocks.wall = *wall,
        }
    }
}

/// The end of all misfortune: what is pending is delivered, and then there is nothing left to do.
pub fn come_to_rest(worker: &mut JudgedWorker) {
    worker.dispatches.clear();
    worker.refuse_tick = false;
    while worker.open() > 0 {
        worker.abort(0);
    }
    // A tick that was refused is asked for again in the next callback: one comes with an ordinary request.
    worker.begin(42, Some(0), false);
    worker.end(0);
    // A role's credential is asked for again before it ends, for ever.
    let ram_role = worker.model.rules.logs.is_some_and(|logs| logs.ram_role);
    for _ in 0..2_000 {
        worker.take_all();
        if worker.model.rules.envoy && !ram_role {
            if !worker.next_tick() {
                break;
            }
        } else {
            // There is always a next tick: the counters are published within 100 ms.
            worker.pass(500);
            if worker.is_at_rest() {
                break;
            }
        }
    }
    assert!(
        worker.is_at_rest() || worker.is_done(),
        "nothing wakes the worker, or nothing leaves"
    );
    if worker.is_done() {
        return;
    }
    assert_eq!(
        worker.is_ticking(),
        !worker.model.rules.envoy || ram_role,
        "nothing to do and still ticking"
    );
}
