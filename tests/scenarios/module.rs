//! The compiled module in the wasmtime host.

use crate::edge::{Edge, Refusal, for_host_with, lane};
use crate::seen::Seen;
use test_host::{
    Call, Guest, Headers, Host, Options, Profile, Reply, Request, Response, What, When,
};

const INTERNAL_FAILURE: u32 = 10;

/// The module in a host; on nginx with so many root contexts, of which the others are lanes.
pub struct ModuleWith<const LANES: u8> {
    pub host: Host,
    root: u32,
    /// Its requests only pass, and nothing of their answers matters.
    only_watches: bool,
    /// nginx: its requests are those that `mirror` makes, for an internal location.
    is_target: bool,
}

pub type Module = ModuleWith<1>;

impl<const LANES: u8> ModuleWith<LANES> {
    pub fn from_host(host: Host) -> Self {
        let root = host.current_root();
        Self {
            host,
            root,
            only_watches: true,
            is_target: false,
        }
    }

    /// In a host with these options, and what the modes need besides.
    pub fn with(profile: Profile, options: Options) -> Self {
        let options = Options {
            allow_on_headers_stop_iteration: true,
            target_variable: Some("sentry_edge_mirror".into()),
            ..options
        };
        let config = String::from_utf8_lossy(&options.config);
        let only_watches =
            !config.contains(r#""mode""#) && !config.contains(r#""only_accepted": true"#);
        let rewrites = config.contains(r#""mode": "rewrite""#);
        let mut host = Host::new(profile, Guest::sentry_edge_mirror(), options);
        for number in 1..LANES {
            host.add_root(lane(number));
        }
        Self {
            only_watches,
            is_target: rewrites && profile == Profile::Nginx,
            ..Self::from_host(host)
        }
    }
}

impl<const LANES: u8> Edge for ModuleWith<LANES> {
    const LANES: u8 = LANES;

    fn start(profile: Profile, config: &str) -> Self {
        let options = Options::new(for_host_with(profile, LANES, config));
        if !config.contains(r#""mode": "sign""#) {
            return Self::with(profile, options);
        }
        Self::with(
            profile,
            Options {
                buffer_limit: 64 << 20,
                ..options
            },
        )
    }

    fn profile(&self) -> Profile {
        self.host.profile()
    }

    fn send(&mut self, request: &Request) {
        self.host.send(request).assert_untouched();
    }

    fn abort(&mut self, stream: u32) {
        self.host.abort(stream).assert_untouched();
    }

    fn headers(&mut self, request: &Request, end: bool) -> u32 {
        let mut head = Request {
            chunks: Vec::new(),
            trailers: None,
            streamed: !end,
            ..request.clone()
        };
        if self.is_target {
            head = head.mirrored_to("/_mirror");
        }
        self.host.open(&head)
    }

    fn body(&mut self, stream: u32, chunk: &[u8], end: bool) {
        self.host.body(stream, chunk, end);
        if end && self.only_watches {
            self.host.close(stream);
        }
    }

    fn trailers(&mut self, stream: u32) {
        let trailers = Headers::from_iter([("x-trailer", "1")]);
        self.host.trailers(stream, &trailers);
    }

    fn respond(&mut self, stream: u32, response: &Response) {
        self.host.respond(stream, response);
        let seen = self.host.so_far(stream);
        if seen.local_response.is_none() {
            let (down, headers) = (seen.downstream, response.headers.clone());
            assert_eq!(down.headers, Some(headers), "the answer is untouched");
            assert_eq!(down.body(), response.chunks.concat());
        }
    }

    fn close(&mut self, stream: u32) {
        self.host.close(stream);
    }

    fn seen(&self, stream: u32) -> Seen {
        let exchange = self.host.so_far(stream);
        let upstream = exchange.upstream;
        if let (Some(_), Some(local)) = (&upstream.headers, &exchange.local_response) {
            panic!("went on and was answered: {local:?}");
        }
        Seen {
            body: upstream.body(),
            headers: upstream.headers,
            ended: upstream.ended,
            local: exchange.local_response.map(|local| {
                let body = String::from_utf8(local.body).unwrap();
                (u16::try_from(local.status).unwrap(), local.headers, body)
            }),
        }
    }

    fn fault(&mut self, refusal: Refusal, times: u32) {
        let calls: &[&str] = match refusal {
            Refusal::Headers => &["proxy_get_header_map_pairs"],
            Refusal::Replace => &[
                "proxy_set_header_map_pairs",
                "proxy_replace_header_map_value",
            ],
            Refusal::Body => &["proxy_get_buffer_bytes"],
            Refusal::Answer => &["proxy_send_local_response"],
            Refusal::Continue => &["proxy_continue_stream"],
            Refusal::Enter => &["proxy_set_effective_context"],
        };
        for call in calls {
            let when = match times {
                u32::MAX => When::Always,
                times => When::Next(times),
            };
            self.host.fault(call, when, What::Status(INTERNAL_FAILURE));
        }
    }

    fn advance(&mut self, ms: u64) {
        self.host.advance(ms);
    }

    fn calls(&mut self) -> Vec<Call> {
        self.host.take_calls()
    }

    fn reply(&mut self, token: u32, reply: &Reply) {
        self.host.reply(token, reply);
    }

    fn refuse(&mut self, count: u32) {
        self.host.fault(
            "proxy_http_call",
            When::Next(count),
            What::Status(INTERNAL_FAILURE),
        );
    }

    fn metric(&self, name: &str) -> i64 {
        self.host.metric(name)
    }

    fn is_ticking(&self) -> bool {
        self.host.is_ticking()
    }

    fn log_lines(&self) -> String {
        let logs = self.host.logs().iter();
        let lines: Vec<&str> = logs.map(|log| log.text.as_str()).collect();
        lines.join("\n")
    }

    fn wall_clock_ms(&self) -> u64 {
        Options::new("").wall_clock_ms + self.host.now_ms()
    }

    fn drain(&mut self) {
        self.host.drain();
    }

    fn is_gone(&self) -> bool {
        self.host.is_gone(self.root)
    }
}
