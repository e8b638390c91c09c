//! What a scenario sees: where a request is, and what became of writes.

use test_host::Headers;

/// What has become of a request so far; nothing at all while it waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The headers that went on.
    pub headers: Option<Headers>,
    /// What went on of the body.
    pub body: Vec<u8>,
    /// All of it went on.
    pub ended: bool,
    /// What the client was answered by the filter: status, headers, body.
    pub local: Option<(u16, Headers, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_ref()?.text(name)
    }

    pub fn path(&self) -> String {
        self.header(":path").unwrap_or_default()
    }

    pub fn is_waiting(&self) -> bool {
        *self == Self::default()
    }

    /// The status of the filter's answer.
    pub fn answered(&self) -> Option<u16> {
        self.local.as_ref().map(|(status, ..)| *status)
    }

    /// Nothing of it went on, and it was answered.
    pub fn assert_answered(&self) {
        assert_eq!(
            (&self.headers, self.answered()),
            (&None, Some(204)),
            "{self:?}"
        );
    }

    /// What went on as a whole.
    pub fn upstream(&self) -> (&Headers, &[u8]) {
        assert_eq!(self.local, None);
        assert!(self.ended);
        let headers = self.headers.as_ref().expect("the request went on");
        (headers, &self.body)
    }

    pub fn local(&self) -> &(u16, Headers, String) {
        assert_eq!(self.headers, None, "nothing may go on");
        self.local.as_ref().expect("the request was answered")
    }
}

/// What has become of the writes.
#[derive(Debug)]
pub struct SignBooks {
    pub received: i64,
    pub signed: i64,
    pub denied: i64,
    pub aborted: i64,
    /// Without an end yet: in the filter, or at the target.
    pub open: i64,
}

/// The books of mode `sign`, which add up.
pub fn sign_books(count: impl Fn(&str) -> i64) -> SignBooks {
    let sum = |of: &str, what: &[&str]| -> i64 {
        what.iter().map(|what| count(&format!("{of}.{what}"))).sum()
    };
    let denied = sum(
        "denied",
        &[
            "forbidden",
            "malformed",
            "too_large",
            "no_room",
            "no_credential",
            "host",
        ],
    );
    let answered = sum("answered", &["2xx", "4xx", "5xx", "other"]);
    let [received, signed, aborted, pending, unanswered, in_flight] = [
        "received",
        "signed",
        "aborted",
        "pending",
        "unanswered",
        "in_flight",
    ]
    .map(&count);
    assert_eq!(received, signed + denied + aborted + pending);
    assert_eq!(signed, answered + unanswered + in_flight);
    let open = pending + in_flight;
    assert_eq!(count("pending_bytes") > 0, open > 0);
    SignBooks {
        received,
        signed,
        denied,
        aborted,
        open,
    }
}
