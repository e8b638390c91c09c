//! One mirrored HTTP exchange: its headers, the body as it streams past, and one end for each leg.
//!
//! An exchange is begun, fed and ended (or aborted) through the [`Worker`](crate::worker::Worker), which owns the budgets and the
//! counters. It never holds up the request: whatever goes wrong, the exchange is over and the request goes on. (In mode
//! `rewrite`, where the request is itself a copy, it may be held for an exchange.) The body is collected once; the legs share it.

use crate::copies::capture::Capture;
use crate::copies::copy::Copy;
use crate::copies::decide::Target;
use crate::copies::headers::CopyHeaders;
use crate::header_list::HeaderList;
use crate::sentry::first_line::{self, Line};
use crate::sls::intake::{Envelope, Head};
use crate::time::Millis;
use crate::worker::wanted::{Wanted, Wants};
use std::rc::Rc;

/// What to do with a request that at least one leg wants.
#[derive(Debug)]
pub struct Plan {
    /// Where the copy goes.
    pub(crate) rum: Option<Target>,
    /// The project, if its envelope becomes logs.
    pub(crate) sls: Option<u64>,
    /// Which second Sentries get a copy, and where each copy goes.
    pub(crate) sentries: Vec<(usize, Target)>,
}

impl Plan {
    /// The legs that want it.
    pub(crate) fn wanted(&self) -> Wanted {
        let copies = self
            .rum
            .iter()
            .chain(self.sentries.iter().map(|(_, to)| to));
        let project = copies.map(|target| target.project).next().or(self.sls);
        Wanted::new(project.unwrap_or_default())
            .by_rum(self.rum.is_some())
            .by_sls(self.sls.is_some())
            .by_sentries(self.sentries.iter().map(|(index, _)| *index))
    }
}

/// The part of an exchange that belongs to a leg of copies.
#[derive(Debug)]
pub(crate) struct Mirrored {
    pub(crate) target: Target,
    pub(crate) headers: HeaderList,
    basic: Option<String>,
}

impl Mirrored {
    pub(crate) fn new(target: Target, copy: CopyHeaders) -> Self {
        Self {
            target,
            headers: copy.list,
            basic: copy.basic,
        }
    }

    fn awaits_answer(&self) -> bool {
        self.target.destination.rules.only_accepted
    }

    fn held(&self) -> usize {
        let basic = self.basic.as_ref().map_or(0, String::capacity);
        self.headers.allocated().saturating_add(basic)
    }

    fn into_copy(self, body: &Rc<Vec<u8>>) -> Copy {
        let mut headers = self.headers;
        // Relay uses the envelope's own DSN only when there is no other credential. So if the envelope has one, a Basic
        // credential beside it is not Sentry's. What cannot be read may have one.
        if let Some(basic) = self.basic
            && first_line::read(body) == Line::WithoutDsn
        {
            headers.push(b"authorization", basic.as_bytes());
        }
        Copy {
            target: self.target,
            headers,
            body: Rc::clone(body),
        }
    }
}

/// What a complete exchange becomes.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) rum: Option<Copy>,
    pub(crate) sls: Option<Envelope>,
    pub(crate) sentries: Vec<(usize, Copy)>,
}

/// A request that is being copied. It lives in [`collect`](crate::worker::collect) until it is complete.
#[derive(Debug)]
pub struct Exchange {
    rum: Option<Mirrored>,
    sls: Option<Head>,
    sentries: Vec<(usize, Mirrored)>,
    capture: Capture,
    announced: Announced,
}

/// What is known of a body before it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    /// Content-Length.
    pub(crate) length: Option<u64>,
    /// Whether Transfer-Encoding is present.
    pub(crate) transfer_encoding: bool,
}

impl Announced {
    /// The headers say that the body is larger than this.
    pub(crate) fn is_more_than(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.length.is_some_and(|length| length > bytes)
    }
}

/// What is known of an exchange when its headers are complete.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) rum: Option<Mirrored>,
    pub(crate) sls: Option<Head>,
    pub(crate) sentries: Vec<(usize, Mirrored)>,
    pub(crate) announced: Announced,
}

impl Parts {
    /// The legs that want it.
    pub(crate) fn wanted(&self) -> Wanted {
        wanted(self.rum.as_ref(), self.sls.as_ref(), &self.sentries)
    }
}

fn wanted(rum: Option<&Mirrored>, sls: Option<&Head>, sentries: &[(usize, Mirrored)]) -> Wanted {
    let copies = rum.into_iter().chain(sentries.iter().map(|(_, copy)| copy));
    let project = copies.map(|copy| copy.target.project).next();
    let project = project.or(sls.map(|head| head.project));
    Wanted::new(project.unwrap_or_default())
        .by_rum(rum.is_some())
        .by_sls(sls.is_some())
        .by_sentries(sentries.iter().map(|(index, _)| *index))
}

impl Exchange {
    /// # Errors
    /// Returns the parts if the announced body is over the limit.
    pub(crate) fn new(parts: Parts, max_body_bytes: usize) -> Result<Self, Box<Parts>> {
        let announced = parts.announced;
        let Some(capture) = Capture::new(announced.length, max_body_bytes) else {
            return Err(Box::new(parts));
        };
        Ok(Self {
            capture,
            announced,
            rum: parts.rum,
            sls: parts.sls,
            sentries: parts.sentries,
        })
    }

    /// As it began, without what it collected.
    pub(crate) fn restart(self) -> Box<Parts> {
        Box::new(Parts {
            rum: self.rum,
            sls: self.sls,
            sentries: self.sentries,
            announced: self.announced,
        })
    }

    /// Whether the primary's answer decides about a copy.
    pub(crate) fn awaits_answer(&self) -> bool {
        let sentries = self.sentries.iter().map(|(_, copy)| copy);
        self.rum.iter().chain(sentries).any(Mirrored::awaits_answer)
    }

    /// Takes the RUM leg's part out.
    pub(crate) fn take_rum(&mut self) -> Option<Mirrored> {
        self.rum.take()
    }

    /// Takes out what waits for the primary's answer.
    pub(crate) fn take_unanswered(&mut self) -> Wanted {
        let rum = self.rum.take_if(|copy| copy.awaits_answer());
        let sentries = self
            .sentries
            .extract_if(.., |(_, copy)| copy.awaits_answer());
        let sentries: Vec<_> = sentries.collect();
        wanted(rum.as_ref(), None, &sentries)
    }

    /// Whether no leg wants it any longer.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.rum.is_none() && self.sls.is_none() && self.sentries.is_empty()
    }

    pub(crate) fn capture(&mut self) -> &mut Capture {
        &mut self.capture
    }

    /// The least that a piece of its body needs.
    pub(crate) fn needs(&self, size: usize) -> usize {
        self.capture.needs(size)
    }

    /// The legs that want it.
    pub(crate) fn wanted(&self) -> Wanted {
        wanted(self.rum.as_ref(), self.sls.as_ref(), &self.sentries)
    }

    /// Its share of the RUM leg's budgets, if that leg wants it.
    pub(crate) fn share(&self) -> Option<usize> {
        self.rum.as_ref().map(|rum| rum.target.destination.share)
    }

    /// What it needs room for, besides what it holds.
    pub(crate) fn wants(&self, bytes: usize) -> Wants {
        Wants {
            rum: self.share(),
            sls: self.sls.is_some(),
            sentries: if self.sentries.is_empty() {
                Wanted::new(0)
            } else {
                self.wanted()
            },
            bytes,
        }
    }

    /// The headers say that there is no body.
    #[must_use]
    pub fn has_no_body(&self) -> bool {
        self.announced.length == Some(0)
    }

    /// The headers say nothing about a body: in HTTP/1 there is none, in HTTP/2 there may be one.
    #[must_use]
    pub fn announces_no_body(&self) -> bool {
        self.announced.length.is_none() && !self.announced.transfer_encoding
    }

    /// The headers say that the body is larger than this.
    pub(crate) fn announces_more_than(&self, bytes: usize) -> bool {
        self.announced.is_more_than(bytes)
    }

    /// Bytes of the budget that it takes up. Counted without a body too, so that open requests are bounded.
    #[must_use]
    pub fn held(&self) -> usize {
        let rum = self.rum.as_ref().map_or(0, Mirrored::held);
        let sentries = self.sentries.iter().map(|(_, copy)| copy.held());
        let copies = sentries.fold(rum, usize::saturating_add);
        self.capture
            .held()
            .saturating_add(copies)
            .saturating_add(Copy::OVERHEAD)
    }

    /// Whether a piece of the body has arrived.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.capture.held() > 0
    }

    /// What is to be delivered and what is to be read.
    pub(crate) fn into_parts(self, now: Millis) -> Ended {
        let body = Rc::new(self.capture.into_body());
        let sls = self.sls.map(|head| Envelope {
            head,
            body: Rc::clone(&body),
            received: now,
        });
        let rum = self.rum.map(|rum| rum.into_copy(&body));
        let mut sentries = Vec::new();
        for (index, copy) in self.sentries {
            sentries.push((index, copy.into_copy(&body)));
        }
        Ended { rum, sls, sentries }
    }
}
