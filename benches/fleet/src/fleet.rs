//! The clock and the events: requests come, ticks and answers are due, the outage begins and ends.

use crate::edge::{Edge, Targets, Wants};
use crate::measure::Measure;
use crate::reply::{Reply, State};
use crate::rum::Rum;
use crate::scenario::Scenario;
use crate::sls::Sls;
use crate::traffic;
use sentry_edge_mirror::delivery::backoff::Jitter;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::metric::{Leg, Metric};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How large, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Workers.
    pub workers: usize,
    /// Requests a second of a worker that is not busy.
    pub quiet: f64,
    /// Milliseconds before the outage, of it, and after it as long as requests come.
    pub before_ms: u64,
    /// See above.
    pub outage_ms: u64,
    /// See above.
    pub after_ms: u64,
    /// Of everything that is random.
    pub seed: u64,
}

impl Size {
    /// When the outage ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.before_ms + self.outage_ms
    }

    /// When no more requests come.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.end() + self.after_ms
    }
}

/// What is pending at the end of the requests is delivered or given up within so long.
const SETTLES_MS: u64 = 1_000_000;

#[derive(Debug)]
enum Event {
    Begins,
    Ends,
    Request(usize),
    Tick(usize),
    Answer(usize, u32, Reply),
    Second,
}

/// In the order of their time, then of their number.
#[derive(Debug)]
struct Due(u64, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The two targets, and what is seen there.
#[derive(Debug)]
struct World {
    rum: Rum,
    sls: Sls,
    random: Jitter,
    measure: Measure,
}

impl Targets for World {
    fn call(&mut self, call: &Call<'_>, now: u64) -> Reply {
        let (random, measure) = (&mut self.random, &mut self.measure);
        if call.upstream == "sls" {
            return self.sls.call(call, now, random, measure);
        }
        let number = call.headers.get(b"x-request-id").unwrap_or_default();
        let number = std::str::from_utf8(number)
            .ok()
            .and_then(|text| text.parse().ok());
        self.rum
            .call(number.unwrap_or(0), call.timeout_ms, now, random, measure)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Fleet {
    /// How large it is.
    pub size: Size,
    /// The workers.
    pub edges: Vec<Edge>,
    world: World,
    scenario: Scenario,
    /// When the tick of each worker is due, as far as an event was made for it.
    ticks: Vec<Option<u64>>,
    queue: BinaryHeap<Reverse<Due>>,
    events: u64,
    traffic: Jitter,
}

impl Fleet {
    /// Runs it. What was seen, and the workers as they are in the end.
    #[must_use]
    pub fn run(scenario: &Scenario, size: Size) -> (Vec<Edge>, Measure) {
        let mut fleet = Self::new(scenario, size);
        while let Some(Reverse(Due(now, _, event))) = fleet.queue.pop() {
            fleet.event(now, event);
        }
        (fleet.edges, fleet.world.measure)
    }

    fn new(scenario: &Scenario, size: Size) -> Self {
        let Size {
            workers,
            quiet,
            seed,
            ..
        } = size;
        let seconds = usize::try_from((size.last() + SETTLES_MS) / 1_000).unwrap_or(0);
        let mut fleet = Self {
            size,
            edges: Vec::new(),
            world: World {
                rum: Rum::new(scenario.rum_quota(workers, quiet)),
                sls: Sls::new(scenario.shards(workers, quiet)),
                random: Jitter::new(seed),
                measure: Measure::new(seconds),
            },
            scenario: scenario.clone(),
            ticks: vec![None; workers],
            queue: BinaryHeap::new(),
            events: 0,
            traffic: Jitter::new(seed ^ 0x7a11),
        };
        let config = scenario.config();
        let mut seeds = Jitter::new(seed ^ 0x5eed);
        for worker in 0..workers {
            fleet
                .edges
                .push(Edge::new(config.clone(), seeds.up_to(u64::MAX)));
            let rate = traffic::rate(worker, quiet);
            let first = traffic::next_ms(rate, &mut fleet.traffic);
            fleet.at(first, Event::Request(worker));
        }
        fleet.at(size.before_ms, Event::Begins);
        fleet.at(size.end(), Event::Ends);
        fleet.at(999, Event::Second);
        fleet
    }

    fn at(&mut self, time: u64, event: Event) {
        self.events += 1;
        self.queue.push(Reverse(Due(time, self.events, event)));
    }

    fn event(&mut self, now: u64, event: Event) {
        let world = &mut self.world;
        let (worker, wants) = match event {
            Event::Begins => {
                world.rum.state = self.scenario.rum;
                world.sls.state = self.scenario.sls;
                world.rum.says_until = self.scenario.says_until.then(|| self.size.end());
                return;
            }
            Event::Ends => {
                (world.rum.state, world.sls.state) = (State::Up, State::Up);
                return;
            }
            Event::Second => return self.second(now),
            Event::Request(worker) => (worker, self.request(worker, now)),
            Event::Tick(worker) => {
                // Another one may be due by now.
                if self.ticks[worker] != Some(now) {
                    return;
                }
                self.ticks[worker] = None;
                (worker, self.edges[worker].tick(now, world))
            }
            Event::Answer(worker, token, reply) => {
                let edge = &mut self.edges[worker];
                (worker, edge.answer(now, token, &reply, world))
            }
        };
        self.wake(worker, now, wants);
    }

    fn request(&mut self, worker: usize, now: u64) -> Wants {
        let number = self.world.measure.offered.len();
        self.world.measure.offered.push(now);
        let (target, body) = traffic::request(number, &mut self.traffic);
        let rate = traffic::rate(worker, self.size.quiet);
        let next = now + traffic::next_ms(rate, &mut self.traffic);
        if next < self.size.last() {
            self.at(next, Event::Request(worker));
        }
        self.edges[worker].request(now, number, &target, &body, &mut self.world)
    }

    fn wake(&mut self, worker: usize, now: u64, wants: Wants) {
        for (token, reply) in wants.replies {
            self.at(now + reply.after_ms, Event::Answer(worker, token, reply));
        }
        let due = wants.tick.map(|due| due.max(now + 1));
        if self.ticks[worker] != due {
            self.ticks[worker] = due;
            if let Some(due) = due {
                self.at(due, Event::Tick(worker));
            }
        }
    }

    /// What is pending; and whether it is over.
    fn second(&mut self, now: u64) {
        let sum = |leg| {
            let edges = self.edges.iter();
            let metrics =
                |edge: &Edge| edge.count(leg, Metric::Pending) + edge.count(leg, Metric::Queued);
            edges.map(metrics).sum::<i64>()
        };
        let pending = [sum(Leg::Rum), sum(Leg::Sls)];
        for (series, pending) in self.world.measure.pending.iter_mut().zip(pending) {
            series.push(pending);
        }
        let last = self.size.last();
        if now < last || pending != [0, 0] && now < last + SETTLES_MS {
            self.at(now + 1_000, Event::Second);
        } else {
            self.queue.clear();
        }
    }
}
