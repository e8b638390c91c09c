//! Items of a copy, scrubbed by the same rules as logs and otherwise left unchanged.

use super::item_kind::Reads;
use super::kind;
use super::text::Text;
use crate::client_ip::ClientIp;
use crate::copies::scrub::{Scrub, Scrubbing, Unscrubbable};
use crate::meter::Meter;
use crate::sentry::envelope::ItemHeader;
use crate::sls::scrub::{Nobody, Pass, Scrubber};
use std::fmt;
use std::rc::Rc;
use std::task::{Poll, ready};

/// Of an item, in bytes: it is there several times while it is scrubbed.
pub const MAX_SCRUBBED: usize = 4 << 20;

/// Scrubs the items of copies that are JSON by their type.
#[derive(Clone, Debug)]
pub(crate) struct ItemScrubber(Rc<Scrubber>);

impl ItemScrubber {
    /// With the default keys and these.
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(Rc::new(Scrubber::new(keys)))
    }
}

impl Scrub for ItemScrubber {
    fn takes(&self, header: &ItemHeader<'_>) -> bool {
        let kind = kind::of(&header.ty, header.content_type.as_deref());
        // A head with other bytes behind it is no JSON: such a copy cannot be scrubbed, and nobody takes it for one that was.
        let json = [Reads::Object, Reads::AnyJson, Reads::HeadOrObject];
        json.contains(&kind.reads)
    }

    fn begin(&self, client_ip: ClientIp) -> Box<dyn Scrubbing> {
        Box::new(Json {
            scrubber: Rc::clone(&self.0),
            client_ip,
            stage: Stage::Text(Text::default()),
        })
    }
}

/// A payload that is being scrubbed.
struct Json {
    scrubber: Rc<Scrubber>,
    client_ip: ClientIp,
    stage: Stage,
}

enum Stage {
    Text(Text),
    Pass(Box<Pass>),
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").finish_non_exhaustive()
    }
}

impl Scrubbing for Json {
    fn step(
        &mut self,
        payload: &[u8],
        meter: &mut Meter,
    ) -> Poll<Result<Option<String>, Unscrubbable>> {
        if payload.len() > MAX_SCRUBBED {
            return Poll::Ready(Err(Unscrubbable));
        }
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            match &mut self.stage {
                Stage::Text(text) => {
                    let Ok(text) = ready!(text.step(payload, false, meter)) else {
                        return Poll::Ready(Err(Unscrubbable));
                    };
                    let pass = Pass::new(text, false).with_client_ip(self.client_ip);
                    self.stage = Stage::Pass(Box::new(pass));
                }
                Stage::Pass(pass) => {
                    let passed = ready!(pass.step(Some(&*self.scrubber), &mut Nobody, meter));
                    let passed = passed.map_err(|_| Unscrubbable);
                    return Poll::Ready(passed.map(|passed| passed.changed.then_some(passed.json)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ItemScrubber, MAX_SCRUBBED, Unscrubbable};
    use crate::client_ip::ClientIp;
    use crate::copies::scrub::Scrub;
    use crate::meter::Meter;
    use crate::sentry::envelope::ItemHeader;
    use std::task::Poll;

    fn scrubbed(payload: &str, client_ip: ClientIp) -> Result<Option<String>, Unscrubbable> {
        let scrubber = ItemScrubber::new(&["customer_no".to_owned()]);
        let mut results = [1, 5_000, u64::MAX].map(|units| {
            let mut scrubbing = scrubber.begin(client_ip);
            loop {
                let mut meter = Meter::new(units);
                if let Poll::Ready(result) = scrubbing.step(payload.as_bytes(), &mut meter) {
                    return result;
                }
            }
        });
        assert!(results.iter().all(|result| *result == results[0]));
        std::mem::replace(&mut results[0], Ok(None))
    }

    #[test]
    fn items_are_scrubbed_as_logs_are() {
        let full = ClientIp::Full;
        assert_eq!(scrubbed(r#"{"message":"hello"}"#, full), Ok(None));
        assert_eq!(
            scrubbed(r#"{"password":"x", "customerNo":7}"#, full),
            Ok(Some(
                r#"{"password":"[Filtered]", "customerNo":"[Filtered]"}"#.to_owned()
            ))
        );
        let user = r#"{"user":{"ip_address":"203.0.113.9"}}"#;
        assert_eq!(scrubbed(user, full), Ok(None));
        assert_eq!(
            scrubbed(user, ClientIp::Truncated),
            Ok(Some(user.replace("113.9", "113.0")))
        );
        for bad in ["", "no json", "{", &" ".repeat(MAX_SCRUBBED + 1)] {
            assert_eq!(scrubbed(bad, full), Err(Unscrubbable));
        }
    }

    #[test]
    fn what_is_json_by_its_type() {
        let scrubber = ItemScrubber::new(&[]);
        let takes = |ty: &'static str| {
            scrubber.takes(&ItemHeader {
                ty: ty.into(),
                ..ItemHeader::default()
            })
        };
        for ty in [
            "event",
            "transaction",
            "log",
            "session",
            "profile",
            "profile_chunk",
            "check_in",
            "span",
        ] {
            assert!(takes(ty), "{ty}");
        }
        for ty in [
            "attachment",
            "replay_recording",
            "replay_video",
            "statsd",
            "unknown",
        ] {
            assert!(!takes(ty), "{ty}");
        }
    }
}
