//! The core as the target of a mirror: what the filter does with its steps, on a proxy of a few lines.

use crate::edge::Edge;
use crate::native::Native;
use crate::target::{Seen, Target};
use sentry_edge_mirror::rum::headers::{Head, Pair};
use sentry_edge_mirror::rum::in_place;
use sentry_edge_mirror::rum::reply::Reply;
use sentry_edge_mirror::worker::rewrite::{RewriteRequest, Step};
use std::collections::BTreeMap;
use test_host::{Headers, Profile, Request};

struct Stream {
    passage: RewriteRequest,
    request: Headers,
    seen: Seen,
    changed: Option<Headers>,
    kept: Vec<u8>,
    ended: bool,
    waits: bool,
}

pub struct NativeTarget {
    edge: Native,
    streams: BTreeMap<u32, Stream>,
    refuse_changes: u32,
    refuse_answers: u32,
    refuse_bodies: u32,
}

fn take(count: &mut u32) -> bool {
    let refused = *count > 0;
    *count = count.saturating_sub(1);
    refused
}

impl NativeTarget {
    fn change(&mut self, passage: &RewriteRequest, request: &Headers) -> Option<Headers> {
        if take(&mut self.refuse_changes) {
            return None;
        }
        let pairs: Vec<Pair<'_>> = request.iter().collect();
        let copy = passage.headers()?;
        if self.edge.profile() == Profile::Envoy {
            let map = in_place::whole_map(copy, pairs.iter().copied());
            return Some(Headers::from_iter(map.iter()));
        }
        let mut changed = request.clone();
        for (name, value) in in_place::replacements(copy, pairs.iter().copied()).ok()? {
            changed.replace(name, value);
        }
        Some(changed)
    }

    fn steps(&mut self, mut stream: Stream, mut step: Step) -> Stream {
        let nginx = self.edge.profile() == Profile::Nginx;
        loop {
            let now = self.edge.now;
            (stream.passage, step) = match step {
                Step::Pass => {
                    stream.waits = false;
                    let changed = stream.changed.clone();
                    stream.seen.headers = stream.seen.headers.take().or(changed);
                    stream.seen.body.append(&mut stream.kept);
                    stream.seen.ended = stream.ended;
                    break;
                }
                Step::Wait => {
                    stream.waits = true;
                    break;
                }
                Step::PutInPlace => {
                    stream.changed = self.change(&stream.passage, &stream.request);
                    let done = stream.changed.is_some();
                    self.edge.plugin.placed(stream.passage, done)
                }
                Step::Answer => {
                    let done = nginx || !take(&mut self.refuse_answers);
                    if done {
                        stream.seen.answered = Some(204);
                    }
                    self.edge.plugin.answered_here(stream.passage, done, now)
                }
            };
        }
        self.edge.finish();
        stream
    }

    fn arrive(&mut self, request: &Request, has_body: bool) -> u32 {
        let text = |name: &str| request.headers.get(name).unwrap_or_default().to_vec();
        let (method, target) = (text(":method"), text(":path"));
        let pairs: Vec<Pair<'_>> = request.headers.iter().collect();
        let head = Head {
            method: &method,
            target: &target,
            headers: pairs.iter().copied(),
            source: &|| None,
            scheme: None,
        };
        let now = self.edge.now;
        let (passage, step) = match self.edge.plugin.decide(&method, &target) {
            Some(plan) => self.edge.plugin.arrive(plan, &head, has_body, now),
            None => (RewriteRequest::unwanted(), Step::Answer),
        };
        let stream = Stream {
            passage,
            request: request.headers.clone(),
            seen: Seen::default(),
            changed: None,
            kept: Vec::new(),
            ended: !has_body,
            waits: false,
        };
        let stream = self.steps(stream, step);
        self.edge.next_stream += 1;
        self.streams.insert(self.edge.next_stream, stream);
        self.edge.next_stream
    }
}

impl Target for NativeTarget {
    type Base = Native;

    fn start(profile: Profile, config: &str) -> Self {
        Self {
            edge: Native::start(profile, config),
            streams: BTreeMap::new(),
            refuse_changes: 0,
            refuse_answers: 0,
            refuse_bodies: 0,
        }
    }

    fn edge(&mut self) -> &mut Native {
        &mut self.edge
    }

    fn send(&mut self, request: &Request) -> u32 {
        let nginx = self.edge.profile() == Profile::Nginx;
        // nginx never says that headers end a request.
        let stream = self.arrive(request, nginx || !request.chunks.is_empty());
        let chunks = match nginx {
            true if request.body().is_empty() => Vec::new(),
            true => vec![request.body()],
            false => request.chunks.clone(),
        };
        for (index, chunk) in chunks.iter().enumerate() {
            self.piece(stream, chunk, index + 1 == chunks.len());
        }
        stream
    }

    fn open(&mut self, request: &Request) -> u32 {
        self.arrive(request, true)
    }

    fn piece(&mut self, id: u32, piece: &[u8], end: bool) {
        let mut stream = self.streams.remove(&id).unwrap();
        if stream.seen.answered.is_none() {
            stream.kept.extend_from_slice(piece);
            stream.ended = end;
            let now = end.then_some(self.edge.now);
            let refused = !stream.kept.is_empty() && self.refuse_bodies > 0;
            let bytes = stream.kept.clone();
            let mut asked = false;
            let (passage, step) =
                self.edge
                    .plugin
                    .piece(stream.passage, bytes.len(), now, |body| {
                        asked = true;
                        body.extend_from_slice(&bytes);
                        (!refused).then_some(())
                    });
            self.refuse_bodies -= u32::from(refused && asked);
            stream.passage = passage;
            stream = self.steps(stream, step);
        }
        self.streams.insert(id, stream);
    }

    fn seen(&mut self, stream: u32) -> Seen {
        self.streams[&stream].seen.clone()
    }

    fn answer(&mut self, stream: u32, status: u16) {
        let stream = self.streams.get_mut(&stream).unwrap();
        if stream.seen.answered.is_none() {
            let now = self.edge.now;
            let reply = Reply {
                status: Some(status),
                ..Reply::default()
            };
            let verdict = reply.verdict(now);
            self.edge
                .plugin
                .response(&mut stream.passage, status, verdict, now);
        }
        self.edge.finish();
    }

    fn leave(&mut self, stream: u32) {
        let mut stream = self.streams.remove(&stream).unwrap();
        self.edge.plugin.leave(&mut stream.passage, self.edge.now);
        self.edge.finish();
    }

    fn refuse_changes(&mut self, count: u32) {
        self.refuse_changes = count;
    }

    fn refuse_answers(&mut self, count: u32) {
        self.refuse_answers = count;
    }

    fn refuse_bodies(&mut self, count: u32) {
        self.refuse_bodies = count;
    }
}
