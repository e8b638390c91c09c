//! Bytes to a worker's rules and to what happens to it, by `arbitrary`: so that a small change of the input is a small
//! change of the story.

use arbitrary::{Arbitrary, Result, Unstructured};
use oracles::events::{Answer, CODES, Event, LogAnswer};
use oracles::logs::LogRules;
use oracles::metadata::Answer as Metadata;
use oracles::model::Rules;
use oracles::worker::{Dispatch, Fill};

/// A worker and its life.
#[derive(Debug)]
pub struct Script {
    pub rules: Rules,
    pub events: Vec<Event>,
}

/// More would only be slower.
const MOST_EVENTS: usize = 200;

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let rules = rules(u)?;
        let mut events = Vec::new();
        while !u.is_empty() && events.len() < MOST_EVENTS {
            events.push(event(u, rules.is_roomy())?);
        }
        Ok(Self { rules, events })
    }
}

fn rules(u: &mut Unstructured<'_>) -> Result<Rules> {
    let roomy = Rules::roomy(u.arbitrary()?);
    let rules = Rules {
        max_attempts: u.int_in_range(1..=4)?,
        ambiguous: u.arbitrary()?,
        max_in_flight: u.int_in_range(1..=5)?,
        logs: if u.arbitrary()? { Some(logs(u)?) } else { None },
        ..roomy
    };
    if u.arbitrary()? {
        return Ok(rules);
    }
    let initial_backoff = u.int_in_range(1..=2_000)?;
    Ok(Rules {
        max_pending: u.int_in_range(5_000..=60_000)?,
        max_age: u.int_in_range(1..=100_000)?,
        initial_backoff,
        max_backoff: initial_backoff + u.int_in_range(0..=60_000)?,
        ..rules
    })
}

fn logs(u: &mut Unstructured<'_>) -> Result<LogRules> {
    Ok(LogRules {
        ram_role: u.arbitrary()?,
        v4: u.arbitrary()?,
        compression: u.choose(&["none", "lz4", "deflate"])?,
        max_bytes: u.int_in_range(1_024..=8_000)?,
        max_logs: u.int_in_range(1..=10)?,
        linger: u.int_in_range(1..=5_000)?,
    })
}

/// `tame`: the clock moves so little that nothing becomes too old: every fate is certain.
fn event(u: &mut Unstructured<'_>, tame: bool) -> Result<Event> {
    let jump = if tame { 60_000 } else { 86_400_000 };
    Ok(match u.int_in_range(0..=31_u8)? {
        0..=4 => Event::Request {
            project: project(u)?,
            size: size(u)?,
        },
        5 | 6 => Event::Begin {
            project: project(u)?,
            announced: announced(u)?,
            odd_header: u.arbitrary()?,
        },
        7 => Event::Other(u.choose(&[
            "/",
            "/api/42/store/",
            "/rum/sentry/ws/p42/api/42/envelope/",
            "/api/0/x/",
        ])?),
        8..=10 => Event::Chunk {
            which: which(u)?,
            size: size(u)?,
            fill: fill(u)?,
        },
        11 | 12 => Event::End(which(u)?),
        13 => Event::Abort(which(u)?),
        14..=17 => Event::Answer {
            which: which(u)?,
            answer: answer(u)?,
        },
        18 => Event::Stray {
            token: u.arbitrary()?,
            answer: answer(u)?,
        },
        19 => Event::Stray {
            token: u.int_in_range(0..=20)?,
            answer: answer(u)?,
        },
        20..=22 => Event::Log {
            which: which(u)?,
            answer: log_answer(u)?,
        },
        23 | 24 => Event::Metadata {
            which: which(u)?,
            answer: metadata(u)?,
        },
        25 => Event::Dispatches(vec![
            *u.choose(&[
                Dispatch::Takes,
                Dispatch::Refuses,
                Dispatch::Refuses
            ])?;
            1 + which(u)?
        ]),
        26 => Event::RefuseTick,
        27 => match u.int_in_range(0..=3_u8)? {
            0 => Event::Drain,
            _ => Event::Tick,
        },
        28 | 29 => Event::Pass(match u.int_in_range(0..=2_u8)? {
            0 => u.int_in_range(0..=20)?,
            1 => u.int_in_range(20..=1_000)?,
            _ => u.int_in_range(1_000..=60_000)?,
        }),
        30 => Event::Jump(u.int_in_range(-jump..=jump)?),
        _ if tame => Event::Tick,
        _ => Event::Set(*u.choose(&[0, 1, 1_767_225_600_000, 1 << 50])?),
    })
}

fn which(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(0..=7)
}

fn project(u: &mut Unstructured<'_>) -> Result<u64> {
    u.choose(&[42, 42, 42, 43, 43, 44, 7]).copied()
}

fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    if u.arbitrary()? {
        u.int_in_range(0..=400)
    } else {
        u.int_in_range(400..=6_000)
    }
}

fn announced(u: &mut Unstructured<'_>) -> Result<Option<u64>> {
    Ok(match u.int_in_range(0..=3_u8)? {
        0 => None,
        1 => Some(u.int_in_range(0..=6_000)?),
        2 => Some(0),
        _ => Some(u.arbitrary()?),
    })
}

fn fill(u: &mut Unstructured<'_>) -> Result<Fill> {
    Ok(match u.int_in_range(0..=9_u8)? {
        0 => Fill::Short,
        1 => Fill::Nothing,
        _ => Fill::Whole,
    })
}

fn wait(u: &mut Unstructured<'_>) -> Result<Option<u32>> {
    Ok(if u.arbitrary()? {
        Some(u.int_in_range(0..=40)?)
    } else {
        None
    })
}

fn answer(u: &mut Unstructured<'_>) -> Result<Answer> {
    Ok(match u.int_in_range(0..=11_u8)? {
        0..=3 => Answer::Taken(u.int_in_range(200..=299)?),
        4 => Answer::Throttled(wait(u)?),
        5 => Answer::Unavailable(u.int_in_range(502..=503)?, wait(u)?),
        6 => Answer::NoConnection,
        7 => Answer::Broken,
        8 => Answer::Late,
        9 => Answer::Error(*u.choose(&[100, 500, 501, 504, 599])?),
        10 => Answer::Nothing,
        _ => Answer::Refused(*u.choose(&[301, 400, 401, 404, 413, 428, 430, 499, 600, 999])?),
    })
}

fn log_answer(u: &mut Unstructured<'_>) -> Result<LogAnswer> {
    Ok(match u.int_in_range(0..=9_u8)? {
        0..=2 => LogAnswer::Taken(u.int_in_range(200..=299)?),
        3..=6 => LogAnswer::Error {
            status: *u.choose(&[
                400, 401, 403, 404, 405, 411, 413, 415, 429, 500, 502, 503, 0, 100, 302, 999,
            ])?,
            code: u.choose_index(CODES.len())?,
            wait: wait(u)?,
            clock: u.arbitrary()?,
        },
        7 => LogAnswer::Proxy(u.arbitrary()?),
        8 => LogAnswer::Garbage(u.arbitrary()?),
        _ => LogAnswer::Nothing,
    })
}

fn metadata(u: &mut Unstructured<'_>) -> Result<Metadata> {
    Ok(match u.int_in_range(0..=7_u8)? {
        0..=4 => Metadata::Right(u.int_in_range(1..=600_000)?),
        5 => Metadata::Status(u.arbitrary()?),
        6 => Metadata::Garbage,
        _ => Metadata::Nothing,
    })
}
