//! One mirrored HTTP exchange: its headers, the body as it streams past, and one end for each leg.
//!
//! An exchange is begun, fed and ended (or aborted) through the [`Worker`](crate::worker::Worker), which owns the
//! budgets and the counters. It never holds up the request: whatever goes wrong, the exchange is over and the request
//! goes on. (In mode `rewrite`, where the request is a copy itself, it may be held for an exchange.) The body is collected once; both legs share it.

use crate::copies::capture::Capture;
use crate::copies::copy::Copy;
use crate::copies::decide::Target;
use crate::copies::headers::CopyHeaders;
use crate::header_list::HeaderList;
use crate::sentry::first_line::{self, Line};
use crate::sls::intake::{Envelope, Head};
use crate::time::Millis;
use std::rc::Rc;

/// What is to become of a request: at least one leg wants it.
#[derive(Debug)]
pub struct Plan {
    /// Where the copy goes.
    pub(crate) rum: Option<Target>,
    /// The project, if its envelope is to become logs.
    pub(crate) sls: Option<u64>,
}

/// The RUM leg's part of an exchange.
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
}

/// A request that is being copied. It lives in [`collect`](crate::worker::collect) until it is complete.
#[derive(Debug)]
pub struct Exchange {
    rum: Option<Mirrored>,
    sls: Option<Head>,
    capture: Capture,
    announced: Announced,
}

/// What is known of a body before it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    /// Content-Length.
    pub(crate) length: Option<u64>,
    /// Transfer-Encoding is there.
    pub(crate) transfer_encoding: bool,
}

/// What is known of an exchange when its headers are complete.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) rum: Option<Mirrored>,
    pub(crate) sls: Option<Head>,
    pub(crate) announced: Announced,
}

impl Parts {
    /// The projects, by leg.
    pub(crate) fn legs(&self) -> [Option<u64>; 2] {
        let rum = self.rum.as_ref().map(|rum| rum.target.project);
        [rum, self.sls.as_ref().map(|head| head.project)]
    }
}

impl Exchange {
    /// # Errors
    /// The parts, when the announced body is over the limit.
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
        })
    }

    /// As it began, without what it has collected.
    pub(crate) fn restart(self) -> Box<Parts> {
        Box::new(Parts {
            rum: self.rum,
            sls: self.sls,
            announced: self.announced,
        })
    }

    /// Whether the primary's answer decides about the copy.
    pub(crate) fn awaits_answer(&self) -> bool {
        let rum = self.rum.as_ref();
        rum.is_some_and(|rum| rum.target.destination.rules.only_accepted)
    }

    /// Takes the RUM leg's part out.
    pub(crate) fn take_rum(&mut self) -> Option<Mirrored> {
        self.rum.take()
    }

    pub(crate) fn capture(&mut self) -> &mut Capture {
        &mut self.capture
    }

    /// What a piece of its body needs at least.
    pub(crate) fn needs(&self, size: usize) -> usize {
        self.capture.needs(size)
    }

    /// The projects, by leg.
    pub(crate) fn legs(&self) -> [Option<u64>; 2] {
        let rum = self.rum.as_ref().map(|rum| rum.target.project);
        [rum, self.sls()]
    }

    /// The share of the RUM leg's budgets, if it wants the exchange.
    pub(crate) fn share(&self) -> Option<usize> {
        self.rum.as_ref().map(|rum| rum.target.destination.share)
    }

    /// The project, if the SLS leg wants the exchange.
    pub(crate) fn sls(&self) -> Option<u64> {
        self.sls.as_ref().map(|head| head.project)
    }

    /// The headers say that there is no body.
    #[must_use]
    pub fn has_no_body(&self) -> bool {
        self.announced.length == Some(0)
    }

    /// The headers say nothing of a body: in HTTP/1 there is none, in HTTP/2 there may be one.
    #[must_use]
    pub fn announces_no_body(&self) -> bool {
        self.announced.length.is_none() && !self.announced.transfer_encoding
    }

    /// The headers say that the body is larger than this.
    pub(crate) fn announces_more_than(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.announced.length.is_some_and(|length| length > bytes)
    }

    /// Bytes of the budget that it occupies: open requests without a body are bounded too.
    #[must_use]
    pub fn held(&self) -> usize {
        let rum = self.rum.as_ref().map_or(0, |rum| {
            let basic = rum.basic.as_ref().map_or(0, String::capacity);
            rum.headers.allocated().saturating_add(basic)
        });
        self.capture
            .held()
            .saturating_add(rum)
            .saturating_add(Copy::OVERHEAD)
    }

    /// Whether a piece of the body has come.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.capture.held() > 0
    }

    /// What is to be delivered, and what is to be read.
    pub(crate) fn into_parts(self, now: Millis) -> (Option<Copy>, Option<Envelope>) {
        let body = Rc::new(self.capture.into_body());
        let envelope = self.sls.map(|head| Envelope {
            head,
            body: Rc::clone(&body),
            received: now,
        });
        let copy = self.rum.map(|rum| {
            let mut headers = rum.headers;
            // Relay uses the envelope's own DSN only when nothing else is a credential; so when there is one, a Basic
            // next to it is somebody's else. What cannot be read may have one.
            if let Some(basic) = rum.basic
                && first_line::read(&body) == Line::WithoutDsn
            {
                headers.push(b"authorization", basic.as_bytes());
            }
            Copy {
                target: rum.target,
                headers,
                body,
            }
        });
        (copy, envelope)
    }
}
