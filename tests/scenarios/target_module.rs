//! The compiled module as the target of a mirror, in the wasmtime host.

use crate::edge::for_host;
use crate::module::Module;
use crate::target::{Seen, Target};
use test_host::{Guest, Host, Options, Profile, Request, Response, What, When};

const INTERNAL_FAILURE: u32 = 10;

pub struct ModuleTarget(Module);

impl ModuleTarget {
    /// nginx mirrors to an internal location.
    fn arriving(&self, request: &Request) -> Request {
        match self.0.host.profile() {
            Profile::Envoy => request.clone(),
            Profile::Nginx => request.clone().mirrored_to("/_mirror"),
        }
    }
}

impl Target for ModuleTarget {
    type Base = Module;

    fn start(profile: Profile, config: &str) -> Self {
        let options = Options {
            allow_on_headers_stop_iteration: true,
            target_variable: Some("sentry_edge_mirror".into()),
            ..Options::new(for_host(profile, config))
        };
        Self(Module::from_host(Host::new(
            profile,
            Guest::sentry_edge_mirror(),
            options,
        )))
    }

    fn edge(&mut self) -> &mut Module {
        &mut self.0
    }

    fn send(&mut self, request: &Request) -> u32 {
        let stream = self.0.host.open(&self.arriving(request));
        self.0
            .host
            .try_body(stream)
            .unwrap_or_else(|trap| trap.raise());
        stream
    }

    fn open(&mut self, request: &Request) -> u32 {
        self.0.host.open(&self.arriving(request).streamed())
    }

    fn piece(&mut self, stream: u32, piece: &[u8], end: bool) {
        self.0.host.body(stream, piece, end);
    }

    fn seen(&mut self, stream: u32) -> Seen {
        let exchange = self.0.host.so_far(stream);
        Seen {
            body: exchange.upstream.body(),
            headers: exchange.upstream.headers,
            ended: exchange.upstream.ended,
            answered: exchange.local_response.map(|local| local.status),
        }
    }

    fn answer(&mut self, stream: u32, status: u16) {
        self.0.host.respond(stream, &Response::status(status));
    }

    fn leave(&mut self, stream: u32) {
        self.0.host.close(stream);
    }

    fn refuse_changes(&mut self, count: u32) {
        for call in [
            "proxy_set_header_map_pairs",
            "proxy_replace_header_map_value",
        ] {
            let what = What::Status(INTERNAL_FAILURE);
            self.0.host.fault(call, When::Next(count), what);
        }
    }

    fn refuse_answers(&mut self, count: u32) {
        let (when, what) = (When::Next(count), What::Status(INTERNAL_FAILURE));
        self.0.host.fault("proxy_send_local_response", when, what);
    }

    fn refuse_bodies(&mut self, count: u32) {
        let (when, what) = (When::Next(count), What::Status(INTERNAL_FAILURE));
        self.0.host.fault("proxy_get_buffer_bytes", when, what);
    }
}
