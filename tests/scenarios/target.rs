//! What a scenario of mode `rewrite` may do: the edge is the target of somebody's mirror, and requests are watched on
//! their way. `target_native` and `target_module` do it.

use crate::edge::{Edge, config_with_rum};
use test_host::{Headers, Profile, Request};

/// Where a request is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The headers that went on.
    pub headers: Option<Headers>,
    /// What went on of the body.
    pub body: Vec<u8>,
    /// All of it went on.
    pub ended: bool,
    /// It was answered here with this status.
    pub answered: Option<u32>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_ref()?.text(name)
    }

    pub fn path(&self) -> String {
        self.header(":path").unwrap_or_default()
    }

    /// Nothing of it went on, and it was answered.
    pub fn assert_answered(&self) {
        assert_eq!(
            (&self.headers, self.answered),
            (&None, Some(204)),
            "{self:?}"
        );
    }
}

pub trait Target: Sized {
    type Base: Edge;

    fn start(profile: Profile, config: &str) -> Self;
    /// Time, calls, metrics.
    fn edge(&mut self) -> &mut Self::Base;

    /// A whole request.
    fn send(&mut self, request: &Request) -> u32;
    /// The headers of a request whose body follows piece by piece.
    fn open(&mut self, request: &Request) -> u32;
    fn piece(&mut self, stream: u32, piece: &[u8], end: bool);
    fn seen(&mut self, stream: u32) -> Seen;
    /// RUM answers, or the proxy in its place.
    fn answer(&mut self, stream: u32, status: u16);
    /// The stream is over.
    fn leave(&mut self, stream: u32);

    /// The host refuses the next changes of headers.
    fn refuse_changes(&mut self, count: u32);
    /// The host refuses the next answers.
    fn refuse_answers(&mut self, count: u32);
    /// The host does not hand out the next body.
    fn refuse_bodies(&mut self, count: u32);
}

/// The scenarios' projects, in mode `rewrite`.
pub fn rewriting(extra: &str) -> String {
    config_with_rum("", &format!(r#", "mode": "rewrite" {extra}"#))
        .replace(r#""upstream": "rum.test:80", "#, "")
}

/// Runs scenarios, functions over any [`Target`], natively and in the module.
#[macro_export]
macro_rules! at_a_target {
    ($($profile:ident as $core:ident, $module:ident: $($scenario:ident),+ $(,)?;)+) => {$(
        $crate::at_a_target!(@as $core, $crate::target_native::NativeTarget, $profile, $($scenario),+);
        $crate::at_a_target!(@as $module, $crate::target_module::ModuleTarget, $profile, $($scenario),+);
    )+};
    (@as $name:ident, $edge:ty, $profile:ident, $($scenario:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $scenario() {
                    super::$scenario::<$edge>(test_host::Profile::$profile);
                }
            )+
        }
    };
}
