//! What must become of every copy: the rules of delivery, written down a second time as a plain list.
//!
//! The model never decides anything itself; it is told what went into the plugin and what came out, and fails when that
//! cannot be. What it cannot know is when exactly an attempt follows (jitter) and, with a tight budget or a short
//! age, which copies were dropped or expired: those stay pending in the model and must never be seen again.

use super::logs::LogRules;
use std::collections::BTreeMap;

/// The configuration, as far as the model needs it. Milliseconds and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub envoy: bool,
    pub max_attempts: u32,
    pub initial_backoff: u64,
    pub max_backoff: u64,
    pub max_age: u64,
    pub ambiguous: bool,
    pub timeout: u64,
    pub max_in_flight: usize,
    pub max_pending: usize,
    pub max_body: usize,
    /// The other leg, if there is one. Each has `max_in_flight` and `max_pending` of its own.
    pub logs: Option<LogRules>,
}

impl Rules {
    /// After its timeout, a call whose answer is this late is given up.
    pub const GRACE: u64 = 2_000;
    const LONG_AGE: u64 = 86_400_000;
    const MUCH_ROOM: usize = 67_108_864;

    /// Room for everything and time for everything: then the model knows the fate of every copy.
    pub fn roomy(envoy: bool) -> Self {
        Self {
            envoy,
            max_attempts: 3,
            initial_backoff: 500,
            max_backoff: 30_000,
            max_age: Self::LONG_AGE,
            ambiguous: false,
            timeout: 5_000,
            max_in_flight: 4,
            max_pending: Self::MUCH_ROOM,
            max_body: 5_000,
            logs: None,
        }
    }

    pub fn legs(&self) -> usize {
        1 + usize::from(self.logs.is_some())
    }

    /// Root contexts: on nginx each bears one call at a time.
    pub fn lanes(&self) -> usize {
        if self.envoy {
            1
        } else {
            self.max_in_flight * self.legs()
        }
    }

    pub fn is_roomy(&self) -> bool {
        self.max_age == Self::LONG_AGE && self.max_pending == Self::MUCH_ROOM
    }

    /// The longest wait after so many attempts.
    pub fn ceiling(&self, attempts: u32) -> u64 {
        (1..attempts)
            .fold(self.initial_backoff, |wait, _| wait.saturating_mul(2))
            .min(self.max_backoff)
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Taken,
    /// Surely not taken; not before so many milliseconds, and for a 429 nothing of its project either.
    NotTaken {
        asked: u64,
        whole_project: bool,
    },
    Unknown,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its first or next attempt.
    Pending,
    InFlight {
        token: u32,
        deadline: u64,
    },
    Delivered,
    Failed,
    /// Given up at the end of the drain, whatever comes of its call.
    Lost,
}

#[derive(Debug)]
pub struct Copy {
    pub project: u64,
    pub body: Vec<u8>,
    pub created: u64,
    pub attempts: u32,
    /// Dispatches that the host refused: no attempts.
    pub refusals: u32,
    pub not_before: u64,
    pub state: State,
}

#[derive(Debug)]
pub struct Model {
    pub rules: Rules,
    pub copies: BTreeMap<u64, Copy>,
    holds: BTreeMap<u64, u64>,
}

impl Model {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            copies: BTreeMap::new(),
            holds: BTreeMap::new(),
        }
    }

    pub fn captured(&mut self, serial: u64, project: u64, body: Vec<u8>, now: u64) {
        let copy = Copy {
            project,
            body,
            created: now,
            attempts: 0,
            refusals: 0,
            not_before: 0,
            state: State::Pending,
        };
        assert!(self.copies.insert(serial, copy).is_none());
    }

    /// Time has passed: waits are over.
    pub fn look(&mut self, now: u64) {
        self.holds.retain(|_, until| *until > now);
        for copy in self
            .copies
            .values_mut()
            .filter(|copy| copy.not_before <= now)
        {
            copy.not_before = 0;
        }
    }

    /// The plugin looks for something to send: calls whose answer is overdue are given up first.
    pub fn give_up_overdue(&mut self, now: u64) {
        let overdue: Vec<u64> = self
            .copies
            .iter()
            .filter(|(_, copy)| matches!(copy.state, State::InFlight { deadline, .. } if deadline <= now))
            .map(|(serial, _)| *serial)
            .collect();
        for serial in overdue {
            self.settle(serial, Meaning::Unknown, now);
        }
    }

    pub fn dispatched(&mut self, serial: u64, body: &[u8], now: u64) {
        let in_flight = self.in_flight().count();
        let rules = self.rules;
        let copy = self
            .copies
            .get_mut(&serial)
            .expect("a copy that nobody sent");
        let (attempts, project) = (copy.attempts, copy.project);
        assert_eq!(
            copy.state,
            State::Pending,
            "copy {serial} is sent after its end or while it is in flight"
        );
        assert!(copy.body == body, "copy {serial} is not what was received");
        assert!(
            attempts < rules.max_attempts,
            "copy {serial}: attempt {}",
            attempts + 1
        );
        assert!(
            copy.not_before <= now,
            "copy {serial}: {} ms too early",
            copy.not_before - now
        );
        assert!(
            now.saturating_sub(copy.created) <= rules.max_age,
            "copy {serial} is too old"
        );
        assert!(
            !self.holds.contains_key(&project),
            "project {project} is held back"
        );
        let most = rules.max_in_flight;
        assert!(in_flight < most, "{in_flight} calls are in flight");
        copy.attempts += 1;
    }

    pub fn taken_by_host(&mut self, serial: u64, token: u32, now: u64) {
        // nginx always tells.
        let wait = if self.rules.envoy {
            self.rules.timeout + Rules::GRACE
        } else {
            u64::MAX
        };
        let deadline = now.saturating_add(wait);
        self.copies.get_mut(&serial).unwrap().state = State::InFlight { token, deadline };
    }

    /// Nothing was sent: only the age bounds how often that happens.
    pub fn refused_by_host(&mut self, serial: u64) {
        let copy = self.copies.get_mut(&serial).unwrap();
        copy.attempts -= 1;
        copy.refusals += 1;
    }

    /// The copy whose call has this token, if its answer is still waited for.
    pub fn waits_for(&self, token: u32) -> Option<u64> {
        let mut calls = self.in_flight();
        calls
            .find(|(_, found)| *found == token)
            .map(|(serial, _)| serial)
    }

    pub fn in_flight(&self) -> impl Iterator<Item = (u64, u32)> {
        self.copies
            .iter()
            .filter_map(|(serial, copy)| match copy.state {
                State::InFlight { token, .. } => Some((*serial, token)),
                _ => None,
            })
    }

    pub fn settle(&mut self, serial: u64, meaning: Meaning, now: u64) {
        let rules = self.rules;
        let copy = self.copies.get_mut(&serial).unwrap();
        let (retry, asked) = match meaning {
            Meaning::Taken => {
                copy.state = State::Delivered;
                return;
            }
            Meaning::Refused => (false, 0),
            Meaning::Unknown => (rules.ambiguous, 0),
            Meaning::NotTaken { asked, .. } => (true, asked),
        };
        let due = now.saturating_add(asked);
        let old = due.saturating_sub(copy.created) > rules.max_age;
        copy.not_before = due;
        copy.state = if retry && !old && copy.attempts < rules.max_attempts {
            State::Pending
        } else {
            State::Failed
        };
        if let Meaning::NotTaken {
            whole_project: true,
            ..
        } = meaning
        {
            let hold = self.holds.entry(copy.project).or_default();
            *hold = now.saturating_add(asked.min(rules.max_age)).max(*hold);
        }
    }

    /// The drain is over.
    pub fn lose_all(&mut self) {
        for copy in self.copies.values_mut() {
            if let State::Pending | State::InFlight { .. } = copy.state {
                copy.state = State::Lost;
            }
        }
    }

    pub fn count(&self, state: impl Fn(State) -> bool) -> i64 {
        let copies = self.copies.values().filter(|copy| state(copy.state));
        i64::try_from(copies.count()).unwrap()
    }

    pub fn pending(&self) -> i64 {
        self.count(|state| matches!(state, State::Pending | State::InFlight { .. }))
    }

    /// Bytes that the plugin must hold at least: the bodies of the calls in flight.
    pub fn bytes_in_flight(&self) -> usize {
        let copies = self.copies.values();
        copies
            .filter(|copy| matches!(copy.state, State::InFlight { .. }))
            .map(|copy| copy.body.len())
            .sum()
    }

    pub fn bytes_pending(&self) -> usize {
        let copies = self.copies.values();
        copies
            .filter(|copy| matches!(copy.state, State::Pending | State::InFlight { .. }))
            .map(|copy| copy.body.len())
            .sum()
    }
}
